// Stripe's Node sample: Express and stripe-node, without records. Two processes, like all peers.
const cluster = require('node:cluster');
const express = require('express');
const Stripe = require('stripe');

const [port, stripePort, workers] = process.argv.slice(2).map(Number);

if (cluster.isPrimary) {
  for (let i = 0; i < workers; i++) cluster.fork();
} else {
  const stripe = new Stripe('sk_test_peer', {
    host: '127.0.0.1',
    port: stripePort,
    protocol: 'http',
    telemetry: false,
  });
  const app = express();
  app.use(express.json());
  app.get('/healthz', (_, res) => res.json({status: 'ok'}));
  app.post('/create-payment-intent', async (req, res) => {
    try {
      const intent = await stripe.paymentIntents.create({
        amount: req.body.amount,
        currency: req.body.currency,
        automatic_payment_methods: {enabled: true},
        metadata: {order_id: req.body.order_id},
      });
      res.json({clientSecret: intent.client_secret});
    } catch (error) {
      res.status(400).json({error: {message: error.message}});
    }
  });
  app.listen(port, '127.0.0.1', 4096);
}

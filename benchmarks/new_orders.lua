-- Every request is a new order; threads and runs do not meet.
local threads = 0
function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end
function init(args)
  run = (args[1] or tostring(os.time())) .. "-" .. number
  count = 0
end
function request()
  count = count + 1
  return wrk.format("POST", "/create-payment-intent",
    {["Content-Type"] = "application/json"},
    '{"amount":1099,"currency":"usd","order_id":"' .. run .. "-" .. count .. '"}')
end
function done(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.timeout,
    latency.max))
end

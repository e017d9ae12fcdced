-- Repeats the same hundred orders; the first round creates them.
local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  run = "replayed"
  count = 0
end

function request()
  count = (count + 1) % 100
  return wrk.format("POST", "/create-payment-intent",
    {["Content-Type"] = "application/json"},
    '{"amount":1099,"currency":"usd","order_id":"' .. run .. "-" .. count .. '"}')
end

-- requests, microseconds, p50, p99, answers that are not 2xx or 3xx, broken connections
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

-- Load script for wrk: asks for the paths of a file in turn, and prints one line of numbers at the end:
-- requests, microseconds, bytes, failures, 50th and 95th percentile of the latency in microseconds.
local paths = {}
local at = 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local headers = { ["Host"] = wrk.host .. ":" .. wrk.port, ["Accept"] = "*/*" }
    if arguments[2] then headers["If-None-Match"] = arguments[2] end
    paths[#paths + 1] = wrk.format("GET", line, headers)
  end
end

function request()
  at = at % #paths + 1
  return paths[at]
end

function done(summary, latency)
  local faults = summary.errors
  io.write(string.format("measured %d %d %d %d %.1f %.1f\n", summary.requests, summary.duration, summary.bytes,
    faults.connect + faults.read + faults.write + faults.status + faults.timeout,
    latency:percentile(50), latency:percentile(95)))
end

-- Cycles through the requests of a file, one a line: method, path, token and body, separated by tabs. Prints what was measured as JSON.
local made, at = {}, 0

function init(arguments)
  for line in io.lines(arguments[1]) do
    local method, path, token, body = line:match("^([^\t]*)\t([^\t]*)\t([^\t]*)\t(.*)$")
    -- As NGINX hands it on.
    local headers = { ["X-Forwarded-For"] = "203.0.113.1", ["X-Forwarded-Proto"] = "https" }
    if token ~= "" then headers["Authorization"] = "Bearer " .. token end
    if body ~= "" then headers["Content-Type"] = "application/json" else body = nil end
    made[#made + 1] = wrk.format(method, path, headers, body)
  end
end

function request()
  at = at % #made + 1
  return made[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p50": %f, "p99": %f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end

-- wrk's script for every load: `wrk … -s load.lua URL -- FILE [count|probe]`.
--
-- A line of FILE is one request: method, path, Authorization, Content-Type, body, with tabs between them, "-" for none.
-- Requests are sent in turn; "{n}" in a body becomes a number that is never used twice. With "count", answers are
-- counted by status, which costs wrk some speed. With "probe", a connection waits ten milliseconds before each request,
-- as something that watches the server does, not a load. The result is one line of JSON on standard output.

local lines = {}
local turn = 0
counts = {}
without_retry_after = 0

function setup(thread)
  only_thread = thread
end

function init(arguments)
  for line in io.lines(arguments[1]) do
    local method, path, authorization, content_type, body = line:match("^(.-)\t(.-)\t(.-)\t(.-)\t(.*)$")
    local headers = {}
    if authorization ~= "-" then headers["Authorization"] = authorization end
    if content_type ~= "-" then headers["Content-Type"] = content_type end
    if body == "-" then body = nil end
    if body and body:find("{n}", 1, true) then
      lines[#lines + 1] = function(number)
        return wrk.format(method, path, headers, (body:gsub("{n}", number)))
      end
    else
      lines[#lines + 1] = wrk.format(method, path, headers, body)
    end
  end
  if arguments[2] == "count" then response = count end
  if arguments[2] == "probe" then delay = function() return 10 end end
end

function request()
  turn = turn + 1
  local line = lines[(turn - 1) % #lines + 1]
  return type(line) == "string" and line or line(turn)
end

function count(status, headers)
  counts[tostring(status)] = (counts[tostring(status)] or 0) + 1
  if (status == 503 or status == 429) and not (headers["retry-after"] or headers["Retry-After"]) then
    without_retry_after = without_retry_after + 1
  end
end

function done(summary, latency)
  local statuses = {}
  for status, number in pairs(only_thread:get("counts")) do
    statuses[#statuses + 1] = string.format('"%s": %d', status, number)
  end
  local errors = summary.errors
  io.write(string.format(
    '{"seconds": %.6f, "answers": %d, "refusals": %d, "broken": %d, "p50_ms": %.3f, "p99_ms": %.3f, "max_ms": %.3f, '
      .. '"without_retry_after": %d, "statuses": {%s}}\n',
    summary.duration / 1e6, summary.requests, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    only_thread:get("without_retry_after"), table.concat(statuses, ", ")))
end

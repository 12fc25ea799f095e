-- Makes wrk post objects like a user's profile, about 450 bytes each, every one under an id of its own.
-- Arguments after `--`: how many objects a request has (0: one object, not in a list), and the API key.

local thread_count = 0

-- Runs once for each thread, in the main state.
function setup(thread)
  thread:set("thread_number", thread_count)
  thread_count = thread_count + 1
end

local pattern = '{"id":"user_%d_%d","name":"Ada Lovelace %d","email":"ada.%d@example.com",'
  .. '"age":%d,"balance":%d.%02d,"active":true,"tags":["early","engineer","newsletter"],'
  .. '"address":{"street":"12 St James\'s Square","city":"London","postcode":"SW1Y 4JH","country":"GB"},'
  .. '"preferences":{"language":"en","theme":"dark","emails":{"weekly":true,"product":false}},'
  .. '"last_seen":"2026-01-01T00:00:00Z","plan":"team","notes":"Prefers to be called in the morning; '
  .. 'asked twice about exports."}'

local made = 0
local size = 0
local headers

function init(args)
  size = tonumber(args[1])
  headers = { ["Authorization"] = "Bearer " .. args[2], ["Content-Type"] = "application/json" }
end

local function object()
  made = made + 1
  return pattern:format(thread_number, made, made, made, made % 90, made % 10000, made % 100)
end

function request()
  local data
  if size == 0 then
    data = object()
  else
    local objects = {}
    for i = 1, size do objects[i] = object() end
    data = "[" .. table.concat(objects, ",") .. "]"
  end
  return wrk.format("POST", nil, headers, '{"data":' .. data .. "}")
end

-- Runs once at the end, in the main state: the figures as one line of JSON.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"seconds":%f,"answered":%d,"refused":%d,"broken":%d,"p50Ms":%f,"p99Ms":%f,"maxMs":%f}\n',
    summary.duration / 1e6, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end

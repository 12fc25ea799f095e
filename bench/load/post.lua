-- Makes wrk post objects, every one under the next key (see objects.ts). Arguments after `--`: the file with the
-- members that all objects share, objects in a request (0: one object, not in a list), API key, first key, first n,
-- and the most requests to be made (0: no limit).
--
-- A request is one string.format: what a generator takes of the CPU, the measured systems have to do without.

local ffi = require("ffi")
ffi.cdef("int getpid(void); int kill(int pid, int signal);")
local SIGINT = 2

local key, n, size, most, made, text
local head, objects

-- The key's multiple of 2654435761 modulo 2^32, in two halves because a double holds 53 bits.
local function scatter(k)
  local high, low = math.floor(k / 65536), k % 65536
  return ((high * 2654435761) % 65536 * 65536 + low * 2654435761) % 4294967296
end

function init(args)
  local file = assert(io.open(args[1], "r"))
  local rest = file:read("*a")
  file:close()
  size, key, n, most = tonumber(args[2]), tonumber(args[4]), tonumber(args[5]), tonumber(args[6])
  made = 0
  text = '{"id":"user_%08x","n":%.0f,' .. rest:gsub("%%", "%%%%") .. "}"
  -- Ids, and numbers of ten digits, make all objects of the same length.
  local length = #text:format(0, n)
  length = #'{"data":}' + (size == 0 and length or size * (length + 1) + 1)
  head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.headers["Host"] .. "\r\nAuthorization: Bearer " .. args[3]
    .. "\r\nContent-Type: application/json\r\nContent-Length: " .. length .. "\r\n\r\n"
  objects = {}
end

local function object()
  local o = text:format(scatter(key), n)
  key = key + 1
  n = n + 1
  return o
end

function request()
  made = made + 1
  if made == most then
    -- Ends the loop after this turn: answers that are still to come are not counted. The main thread sleeps for the
    -- time of the load unless it is woken.
    wrk.thread:stop()
    ffi.C.kill(ffi.C.getpid(), SIGINT)
  end
  if size == 0 then return head .. '{"data":' .. object() .. "}" end
  for i = 1, size do objects[i] = object() end
  return head .. '{"data":[' .. table.concat(objects, ",") .. "]}"
end

-- Runs once at the end, in the main state: the figures as one line of JSON.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"seconds":%f,"answered":%d,"refused":%d,"broken":%d,"p50Ms":%f,"p99Ms":%f}\n',
    summary.duration / 1e6, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end

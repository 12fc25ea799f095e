/**
 * What runs within Redis. The marks of a queue are stamps, kept as scores of one sorted set: a score can be raised without ever
 * being lowered, and whoever finds none of `last` has another queue before them, or one that was emptied. They are sent as they
 * are (EVAL), because a script that has to be sent a second time would come behind what follows it.
 */

/** The clock and the greatest stamp. KEYS: marks. */
export const READ_STAMP = `
  local time = redis.call('TIME')
  return {time[1], time[2], redis.call('ZSCORE', KEYS[1], 'last')}`;

/** Raises a mark of a queue that is there. KEYS: marks; ARGV: the stamp, the mark. Returns the last stamp, null where there is none. */
export const RAISE = `
  if not redis.call('ZSCORE', KEYS[1], 'last') then return false end
  redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[2])
  return redis.call('ZSCORE', KEYS[1], 'last')`;

/**
 * Makes a queue this Inlet's where it is nobody's, and raises its last stamp to the clock; above all known stamps where the
 * clock is behind them, by ten seconds, since other processes may know greater ones.
 * KEYS: owner, marks, marks of the version without ids; ARGV: id, greatest known stamp.
 * Returns the last stamp in digits, or the other owner behind a colon.
 */
export const CLAIM = `
  local owner = redis.call('GET', KEYS[1])
  if owner and owner ~= ARGV[1] then return ':' .. owner end
  if not owner then redis.call('SET', KEYS[1], ARGV[1]) end
  local time = redis.call('TIME')
  local last = time[1] * 1000000 + time[2]
  local known = math.max(tonumber(ARGV[2]), tonumber(redis.call('ZSCORE', KEYS[3], 'last') or 0))
  if last <= known then last = known + 10000000 end
  last = string.format('%.0f', last)
  if not redis.call('ZSCORE', KEYS[2], 'last') then redis.call('ZADD', KEYS[2], last, 'born') end
  redis.call('ZADD', KEYS[2], 'GT', last, 'last')
  return string.format('%.0f', redis.call('ZSCORE', KEYS[2], 'last'))`;

/**
 * Redis keeps when a key expires as a time of its clock. Where that has stepped back, locks of workers that died, and the mark
 * of who looks for such locks, would stay for as long as the step was.
 */
export const SHORTEN = `
  local function shorten(key, most)
    if redis.call('PTTL', key) > tonumber(most) then redis.call('PEXPIRE', key, most) end
  end
  shorten(KEYS[1] .. 'stalled-check', ARGV[1])
  for _, id in ipairs(redis.call('LRANGE', KEYS[1] .. 'active', 0, -1)) do
    shorten(KEYS[1] .. id .. ':lock', ARGV[2])
  end`;

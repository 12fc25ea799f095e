/**
 * What runs within Redis. The marks of a queue are stamps, kept as scores of one sorted set: a score can be raised without ever
 * being lowered, and whoever finds none of `last` has another queue before them, or one that was emptied. They are sent as they
 * are (EVAL), because a script that has to be sent a second time would come behind what follows it.
 */

/** The clock, the greatest stamp, and that of a process. KEYS: marks, those of processes; ARGV: the process. */
export const READ_STAMP = `
  local time = redis.call('TIME')
  return {time[1], time[2], redis.call('ZSCORE', KEYS[1], 'last'), redis.call('ZSCORE', KEYS[2], ARGV[1])}`;

/**
 * Raises the last stamp, and with it the one of the process that adds something: to a stamp, or a little higher where others
 * have added something since that was read. So nothing is added with a mark that was the last one before.
 * KEYS: marks, those of processes; ARGV: the stamp, the process, its own mark as far as it knows. Returns the last stamp, null
 * where the queue isn't this Inlet's or has less than the process knows.
 */
export const RAISE_LAST = `
  local last = redis.call('ZSCORE', KEYS[1], 'last')
  local own = redis.call('ZSCORE', KEYS[2], ARGV[2])
  if not last or tonumber(own or 0) < tonumber(ARGV[3]) then return false end
  last = string.format('%.0f', math.max(tonumber(ARGV[1]), last + 1))
  redis.call('ZADD', KEYS[1], last, 'last')
  redis.call('ZADD', KEYS[2], last, ARGV[2])
  return last`;

/** Raises another mark of a queue that is there. KEYS: marks; ARGV: the stamp, the mark. Returns the last stamp, null where there is none. */
export const RAISE_MARK = `
  if not redis.call('ZSCORE', KEYS[1], 'last') then return false end
  redis.call('ZADD', KEYS[1], 'GT', ARGV[1], ARGV[2])
  return redis.call('ZSCORE', KEYS[1], 'last')`;

/**
 * Makes a queue this Inlet's where it is nobody's, and raises its last stamp to the clock; above all known stamps where the
 * clock is behind them, by ten seconds, since other processes may know greater ones.
 * KEYS: owner, marks, those of processes, marks of the version without ids; ARGV: id, greatest known stamp, the process.
 * Returns the last stamp in digits, or the other owner behind a colon.
 */
export const CLAIM = `
  local owner = redis.call('GET', KEYS[1])
  if owner and owner ~= ARGV[1] then return ':' .. owner end
  if not owner then redis.call('SET', KEYS[1], ARGV[1]) end
  local time = redis.call('TIME')
  local last = time[1] * 1000000 + time[2]
  local known = math.max(tonumber(ARGV[2]), tonumber(redis.call('ZSCORE', KEYS[4], 'last') or 0))
  if last <= known then last = known + 10000000 end
  last = string.format('%.0f', last)
  if not redis.call('ZSCORE', KEYS[2], 'last') then redis.call('ZADD', KEYS[2], last, 'born') end
  redis.call('ZADD', KEYS[2], 'GT', last, 'last')
  last = string.format('%.0f', redis.call('ZSCORE', KEYS[2], 'last'))
  redis.call('ZADD', KEYS[3], last, ARGV[3])
  return last`;

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

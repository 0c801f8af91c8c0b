import { now, script } from "./lua.ts";

/**
 * The number tells of a hurry that nobody heard, the message wakes those who wait. A server that forbids channels
 * (ACL) leaves the number, which is looked at now and then.
 */
const hurry = `
local function hurry(hurries, channel, repository)
  redis.call('HINCRBY', hurries, repository, 1)
  redis.pcall('PUBLISH', channel, repository)
end
`;

/** KEYS hurries; ARGV channel, repository. */
export const hurryPoll = script(`${hurry}
hurry(KEYS[1], ARGV[1], ARGV[2])
return 1
`);

/** KEYS hurries, sync-requests; ARGV channel, repository. */
export const requestSync = script(`${hurry}
redis.call('SADD', KEYS[2], ARGV[2])
hurry(KEYS[1], ARGV[1], ARGV[2])
return 1
`);

/** KEYS hurries, webhooks, deliveries; ARGV channel, repository, how long and how many ids are kept, ids. */
export const takeDelivery = script(`${now}${hurry}
local keepMs, keep = tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - keepMs)
for index = 5, #ARGV do
  if redis.call('ZSCORE', KEYS[3], ARGV[index]) then
    redis.call('HINCRBY', KEYS[2], 'ignored', 1)
    return 0
  end
end
for index = 5, #ARGV do redis.call('ZADD', KEYS[3], now, ARGV[index]) end
redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -1 - keep)
redis.call('PEXPIRE', KEYS[3], keepMs)
redis.call('HINCRBY', KEYS[2], 'received', 1)
redis.call('HSET', KEYS[2], 'lastAtMs', now)
hurry(KEYS[1], ARGV[1], ARGV[2])
return 1
`);

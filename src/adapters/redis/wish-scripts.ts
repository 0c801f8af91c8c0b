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

/** KEYS hurries, sync-requests, drift-restarts; ARGV channel, repository. */
export const requestSync = script(`${now}${hurry}
redis.call('SADD', KEYS[2], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], now)
hurry(KEYS[1], ARGV[1], ARGV[2])
return 1
`);

/** KEYS hurries, sync-targets; ARGV channel, repository, target keys. */
export const requestTargets = script(`${hurry}
for index = 3, #ARGV do redis.call('SADD', KEYS[2], ARGV[index]) end
hurry(KEYS[1], ARGV[1], ARGV[2])
return 1
`);

/** KEYS sync-requests, sync-targets; ARGV repository. Answers 1 for everything, else the target keys. */
export const takeSyncRequest = script(`
local everything = redis.call('SREM', KEYS[1], ARGV[1]) == 1
local targets = redis.call('SMEMBERS', KEYS[2])
redis.call('DEL', KEYS[2])
if everything then return 1 end
return targets
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

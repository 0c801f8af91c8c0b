import { createHash } from "node:crypto";
import type { Redis } from "ioredis";

/** A Lua script Redis runs whole: nothing happens in between, and nothing of it happens when the connection breaks before. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

export function script(text: string): Script {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

/** Runs a script by its hash, and by its text when Redis has forgotten it (a restart empties its cache). */
export async function runScript(
  redis: Redis,
  { text, sha }: Script,
  keys: readonly string[],
  args: readonly (string | number)[],
): Promise<unknown> {
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) throw error;
    return redis.eval(text, keys.length, ...keys, ...args);
  }
}

/** Time by Redis' own clock in milliseconds, so that processes with different clocks agree on what has expired. */
export const now = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
`;

/**
 * Appends outbox entries given as {repository, key, weight, json}. A waiting entry of weight \`progress\` or
 * \`latest\` gives way to anything newer of its key, so a forge that is away for days piles up what must be told only.
 */
const appendOutbox = `
local function append(prefix, entries)
  for _, entry in ipairs(entries) do
    local repository, key, weight, json = entry[1], entry[2], entry[3], entry[4]
    local outbox = prefix .. 'outbox:' .. repository
    local yielding = prefix .. 'outbox-yielding:' .. repository
    local sequence = redis.call('HINCRBY', prefix .. 'outbox-sequences', repository, 1)
    local older = redis.call('HGET', yielding, key)
    if older then redis.call('ZREMRANGEBYSCORE', outbox, older, older) end
    if weight == 'progress' or weight == 'latest' then
      redis.call('HSET', yielding, key, sequence)
    else
      redis.call('HDEL', yielding, key)
    end
    redis.call('ZADD', outbox, sequence, sequence .. ' ' .. json)
    redis.call('SADD', prefix .. 'outbox-repositories', repository)
  end
end
`;

/** KEYS outbox-repositories; ARGV prefix, entries. */
export const appendEntries = script(`${appendOutbox}
append(ARGV[1], cjson.decode(ARGV[2]))
return 1`);

/** KEYS outbox, outbox-repositories; ARGV repository, sequences... */
export const removeEntries = script(`
for i = 2, #ARGV do redis.call('ZREMRANGEBYSCORE', KEYS[1], ARGV[i], ARGV[i]) end
if redis.call('EXISTS', KEYS[1]) == 0 then redis.call('SREM', KEYS[2], ARGV[1]) end
return 1`);

/** KEYS pull-request; ARGV prefix, record, time to live, entries. */
export const writeAndTell = script(`${appendOutbox}
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
append(ARGV[1], cjson.decode(ARGV[4]))
return 1`);

/** KEYS drift; ARGV prefix, {VM, record or ""}, entries. */
export const recordDrift = script(`${appendOutbox}
for _, field in ipairs(cjson.decode(ARGV[2])) do
  if field[2] == '' then
    redis.call('HDEL', KEYS[1], field[1])
  else
    redis.call('HSET', KEYS[1], field[1], field[2])
  end
end
append(ARGV[1], cjson.decode(ARGV[3]))
return 1`);

/** KEYS branch, unsettled; ARGV tip, commits oldest first... */
export const observe = script(`
redis.call('HSET', KEYS[1], 'observed', ARGV[1])
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[2], 'NX', redis.call('HINCRBY', KEYS[1], 'arrivals', 1), ARGV[i])
end
return 1`);

/**
 * KEYS branch, unsettled, history; ARGV prefix, tip, history, history limit, (commit, entry) pairs, sync or "". Only commits that still
 * awaited their final status get it, so a repeat tells nothing.
 */
export const refuseTip = script(`${appendOutbox}
if redis.call('HGET', KEYS[1], 'observed') ~= ARGV[2] then return 0 end
if (redis.call('HGET', KEYS[1], 'currentSync') or '') ~= ARGV[6] then return 0 end
redis.call('HSET', KEYS[1], 'refused', ARGV[2])
local told = {}
for _, pair in ipairs(cjson.decode(ARGV[5])) do
  if redis.call('ZREM', KEYS[2], pair[1]) == 1 then table.insert(told, pair[2]) end
end
if #told == 0 then return 0 end
append(ARGV[1], told)
redis.call('LPUSH', KEYS[3], ARGV[3])
redis.call('LTRIM', KEYS[3], 0, ARGV[4] - 1)
return #told`);

/** KEYS branch, sync, passes, rounds, applied; ARGV prefix, id, revision, record, state, {passes, targets, moving, entries}. */
export const createSync = script(`${appendOutbox}
if redis.call('EXISTS', KEYS[2]) == 1 then return 1 end
local given = cjson.decode(ARGV[6])
if given.replaces and given.replaces ~= (redis.call('HGET', KEYS[1], 'currentSync') or '') then return 0 end
redis.call('HSET', KEYS[2], 'kind', 'running', 'record', ARGV[4], 'state', ARGV[5])
for _, pass in ipairs(given.passes) do
  redis.call('HSET', KEYS[4], pass[1], pass[2])
  redis.call('HSET', KEYS[3], pass[1], pass[3], 'version ' .. pass[1], 1)
end
for _, target in ipairs(given.targets) do redis.call('HSET', KEYS[5], target, given.moving) end
redis.call('HSET', KEYS[1], 'currentSync', ARGV[2], 'attempted', ARGV[3])
append(ARGV[1], given.entries)
return 1`);

/** KEYS sync, passes, rounds, results, under-way; ARGV prefix, kind, state, retention, entries. */
const endSync = `${appendOutbox}
if redis.call('HGET', KEYS[1], 'kind') ~= 'running' then return 0 end
redis.call('HSET', KEYS[1], 'kind', ARGV[2], 'state', ARGV[3])
for i = 1, 5 do redis.call('PEXPIRE', KEYS[i], ARGV[4]) end
append(ARGV[1], cjson.decode(ARGV[5]))
`;

export const supersedeSync = script(`${endSync}
return 1`);

/**
 * KEYS of endSync, then branch, unsettled, applied, history, trees, tree-order; ARGV of endSync, then
 * {revision, success, commits, applied, history, historyLimit, treeId, tree, treeScore, treeLimit}.
 */
export const finishSync = script(`${endSync}
local done = cjson.decode(ARGV[6])
redis.call('HSET', KEYS[6], 'attempted', done.revision)
if done.success then redis.call('HSET', KEYS[6], 'synced', done.revision) end
for _, commit in ipairs(done.commits) do redis.call('ZREM', KEYS[7], commit) end
for _, target in ipairs(done.applied) do
  if target[2] == '' then
    redis.call('HDEL', KEYS[8], target[1])
  else
    redis.call('HSET', KEYS[8], target[1], target[2])
  end
end
redis.call('LPUSH', KEYS[9], done.history)
redis.call('LTRIM', KEYS[9], 0, done.historyLimit - 1)
if done.success and done.treeId ~= '' then
  redis.call('HSET', KEYS[10], done.treeId, done.tree)
  redis.call('ZADD', KEYS[11], done.treeScore, done.treeId)
  local extra = redis.call('ZCARD', KEYS[11]) - done.treeLimit
  if extra > 0 then
    for _, old in ipairs(redis.call('ZRANGE', KEYS[11], 0, extra - 1)) do
      redis.call('HDEL', KEYS[10], old)
      redis.call('ZREM', KEYS[11], old)
    end
  end
end
return 1`);

/** KEYS passes, rounds, outcomes, attempts; ARGV cluster, expected round, round, pass. */
export const replacePass = script(`
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[4])
redis.call('HINCRBY', KEYS[1], 'version ' .. ARGV[1], 1)
if ARGV[2] ~= ARGV[3] then
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  redis.call('DEL', KEYS[3], KEYS[4])
end
return 1`);

/** KEYS rounds, outcomes; ARGV cluster, round, retention, (operation, outcome)... */
export const recordOutcomes = script(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
for i = 4, #ARGV, 2 do redis.call('HSETNX', KEYS[2], ARGV[i], ARGV[i + 1]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return 1`);

/** KEYS sync, results; ARGV cluster, result, retention. */
export const recordResult = script(`
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
if redis.call('HGET', KEYS[1], 'kind') ~= 'running' then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
return 1`);

/**
 * KEYS sync, rounds, outcomes, hold, places, under-way, attempts, fence;
 * ARGV cluster, round, operation, holder, limit, ttl, place, member, retention.
 * The holder's own name makes a repeat after a lost reply answer what the first call did.
 */
export const beginOperation = script(`${now}
if redis.call('HGET', KEYS[1], 'kind') ~= 'running' then return {'not-running'} end
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return {'already-finished'} end
if redis.call('HEXISTS', KEYS[3], ARGV[3]) == 1 then return {'already-finished'} end
local attempt = tonumber(redis.call('HGET', KEYS[7], ARGV[3]) or '0') + 1
local held = redis.call('GET', KEYS[4])
if held then
  local token, holder = string.match(held, '^(%d+) (.*)$')
  if holder ~= ARGV[4] then return {'virdomain-held'} end
  return {'begun', token, attempt}
end
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', now)
if redis.call('ZCARD', KEYS[5]) >= tonumber(ARGV[5]) then return {'cluster-full'} end
local token = redis.call('INCR', KEYS[8])
local ends = now + tonumber(ARGV[6])
redis.call('SET', KEYS[4], token .. ' ' .. ARGV[4], 'PX', ARGV[6])
redis.call('ZADD', KEYS[5], ends, ARGV[7])
redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now)
redis.call('ZADD', KEYS[6], ends, ARGV[8])
redis.call('PEXPIRE', KEYS[6], ARGV[9])
return {'begun', token, attempt}`);

/** KEYS hold, places, under-way; ARGV value of the hold, ttl, place, member. */
export const renewHold = script(`${now}
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local ends = now + tonumber(ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], ends, ARGV[3])
redis.call('ZADD', KEYS[3], ends, ARGV[4])
return 1`);

/**
 * KEYS hold, places, under-way, rounds, outcomes, attempts;
 * ARGV value of the hold, place, member, cluster, round, operation, outcome or "", retention, attempts spent.
 */
export const endHold = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
redis.call('ZREM', KEYS[3], ARGV[3])
if redis.call('HGET', KEYS[4], ARGV[4]) ~= ARGV[5] then return 1 end
if ARGV[7] ~= '' then
  redis.call('HSETNX', KEYS[5], ARGV[6], ARGV[7])
  redis.call('PEXPIRE', KEYS[5], ARGV[8])
elseif ARGV[9] ~= '0' then
  redis.call('HINCRBY', KEYS[6], ARGV[6], ARGV[9])
  redis.call('PEXPIRE', KEYS[6], ARGV[8])
end
return 1`);

/** KEYS under-way; ARGV prefix of the members that count. */
export const countUnderWay = script(`${now}
local count = 0
for _, member in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now, '+inf')) do
  if string.sub(member, 1, #ARGV[1]) == ARGV[1] then count = count + 1 end
end
return count`);

/** KEYS lease, fence; ARGV holder, ttl. Answers the token, or 0 while somebody else holds it. */
export const acquireLease = script(`
local held = redis.call('GET', KEYS[1])
if held then
  local token, holder = string.match(held, '^(%d+) (.*)$')
  if holder == ARGV[1] then return tonumber(token) end
  return 0
end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return token`);

/** KEYS lease; ARGV value, ttl. */
export const renewLease = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1`);

/** KEYS lease; ARGV value. */
export const releaseLease = script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`);

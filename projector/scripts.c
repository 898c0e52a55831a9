/* SPDX-License-Identifier: Apache-2.0 */
#include "projector/scripts.h"

const char script_guard[] = "if redis.call('HGET', KEYS[1], 'offset') ~= ARGV[1] then\n"
                            "  redis.call('HINCRBY', KEYS[1], 'refused', 1)\n"
                            "end\n"
                            "return 0\n";

#define LUA_DROP                                                                                             \
    "local function drop(prefix)\n"                                                                          \
    "  for _, key in ipairs(redis.call('KEYS', prefix .. '*')) do redis.call('UNLINK', key) end\n"           \
    "end\n"

const char script_load[] = LUA_DROP
    "local prefix, schema, fresh = ARGV[1], ARGV[2], ARGV[3]\n"
    "local meta = redis.call('HMGET', KEYS[1], 'offset', 'schema')\n"
    "if fresh == '1' or not meta[1] or meta[2] ~= schema then\n"
    "  drop(prefix)\n"
    "  redis.call('HSET', KEYS[1], 'offset', '-1', 'digest', '', 'events', '0', 'parked', '0', 'fenced', "
    "'0', "
    "'ignored', '0',\n"
    "             'schema', schema)\n"
    "end\n"
    "local containers = {}\n"
    "for i, id in ipairs(redis.call('ZRANGE', prefix .. 'containers', 0, -1)) do\n"
    "  containers[i] = redis.call('HMGET', prefix .. 'container:' .. id, unpack(ARGV, 4))\n"
    "end\n"
    "return {redis.call('HMGET', KEYS[1], 'offset', 'events', 'parked', 'fenced', 'ignored', 'digest'),\n"
    "        redis.call('HGETALL', prefix .. 'nodes'), containers,\n"
    "        redis.call('LRANGE', prefix .. 'past', 0, -1)}\n";

const char script_swap[] =
    LUA_DROP "local live, side = ARGV[1], ARGV[2]\n"
             "local have = redis.call('HGET', side .. 'meta', 'offset')\n"
             "local want = redis.call('HGET', KEYS[1], 'offset') or '-1'\n"
             "if ARGV[3] ~= '1' and tonumber(have) < tonumber(want) then return want end\n"
             "drop(live)\n"
             "for _, key in ipairs(redis.call('KEYS', side .. '*')) do\n"
             "  redis.call('RENAME', key, live .. string.sub(key, #side + 1))\n"
             "end\n"
             "redis.call('PUBLISH', live .. 'applied', have)\n"
             "return 'swapped'\n";

/* A value as a map from member to text, whatever its type; `changes` and meta's clock are not compared: the
 * one is cut at no exact place, the other differs by nature. */
const char script_compare[] =
    "local live, side, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])\n"
    "local a = redis.call('HGET', KEYS[1], 'offset') or ''\n"
    "local b = redis.call('HGET', side .. 'meta', 'offset')\n"
    "if a ~= b then return {a, b} end\n"
    "local function pairs_of(list)\n"
    "  local map = {}\n"
    "  for i = 1, #list, 2 do map[list[i]] = list[i + 1] end\n"
    "  return map\n"
    "end\n"
    "local function value(key)\n"
    "  local type = redis.call('TYPE', key).ok\n"
    "  local map = {}\n"
    "  if type == 'hash' then return pairs_of(redis.call('HGETALL', key)) end\n"
    "  if type == 'zset' then return pairs_of(redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')) end\n"
    "  if type == 'set' then\n"
    "    for _, m in ipairs(redis.call('SMEMBERS', key)) do map[m] = 'present' end\n"
    "  elseif type == 'list' then\n"
    "    for i, m in ipairs(redis.call('LRANGE', key, 0, -1)) do map[tostring(i)] = m end\n"
    "  elseif type == 'string' then map[''] = redis.call('GET', key)\n"
    "  end\n"
    "  return map\n"
    "end\n"
    "local names = {}\n"
    "for _, key in ipairs(redis.call('KEYS', live .. '*')) do names[string.sub(key, #live + 1)] = true end\n"
    "for _, key in ipairs(redis.call('KEYS', side .. '*')) do names[string.sub(key, #side + 1)] = true end\n"
    "names['changes'] = nil\n"
    "local out = {a, b}\n"
    "local function differs(name, member, is, should)\n"
    "  if #out - 2 < limit then\n"
    "    out[#out + 1] = name .. \" '\" .. member .. \"' is \" .. (is and \"'\" .. is .. \"'\" or 'absent') "
    "..\n"
    "      ', but the log says ' .. (should and \"'\" .. should .. \"'\" or 'absent')\n"
    "  end\n"
    "end\n"
    "for name in pairs(names) do\n"
    "  local x, y = value(live .. name), value(side .. name)\n"
    "  if name == 'meta' then\n"
    "    x.updated_at, x.refused, y.updated_at, y.refused = nil, nil, nil, nil\n"
    "  end\n"
    "  for m, v in pairs(x) do if y[m] ~= v then differs(name, m, v, y[m]) end end\n"
    "  for m, v in pairs(y) do if x[m] == nil then differs(name, m, nil, v) end end\n"
    "end\n"
    "return out\n";

const char script_drop[] = LUA_DROP "drop(ARGV[1])\nreturn 0\n";

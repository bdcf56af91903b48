/* SPDX-License-Identifier: MIT */
/*
 * All of ufop's Lua on Redis.  Keys and arguments of each script: enum
 * queue_script in queue.h; what they are for: docs/protocol.txt.
 *
 * An entry's pool length is byte 7 (counted from 1 as Lua does), the pool
 * starts at byte 65, deaths is byte 3: job entry in docs/protocol.txt.
 */
#include "queue.h"

#define POOL_OF(e)	"string.sub(" e ",65,64+string.byte(" e ",7))"

const char *const queue_lua[QUEUE_SCRIPTS] = {

[QUEUE_TAKE] =
"local e=redis.call('LPOP',KEYS[1],ARGV[1])\n"
"if not e then return {} end\n"
"redis.call('RPUSH',KEYS[2],unpack(e))\n"
"return e",

/*
 * One EXPIRE per reply list and script is enough; replies of one batch mostly
 * go to one or two fronts.  An empty frame: nobody waits for the reply.
 */
[QUEUE_SETTLE] =
"local call,run,out,list,n,key=redis.call,KEYS[1],{},{},0,KEYS[2]\n"
"for i=2,#KEYS do\n"
" local gone,f=call('LREM',run,'1',ARGV[2*i-2]),ARGV[2*i-1]\n"
" out[i-1]=gone\n"
" if gone==1 and f~='' then\n"
"  if KEYS[i]~=key then\n"
"   if n>0 then call('RPUSH',key,unpack(list,1,n)) call('PEXPIRE',key,ARGV[1]) end\n"
"   key,n=KEYS[i],0\n"
"  end\n"
"  n=n+1\n"
"  list[n]=f\n"
" end\n"
"end\n"
"if n>0 then call('RPUSH',key,unpack(list,1,n)) call('PEXPIRE',key,ARGV[1]) end\n"
"return out",

/* due 0: to the queue, its head when front is 1. */
[QUEUE_REQUEUE] =
"if redis.call('LREM',KEYS[1],1,ARGV[1])==0 then return 0 end\n"
"if ARGV[3]~='0' then redis.call('ZADD',KEYS[3],ARGV[3],ARGV[2])\n"
"elseif ARGV[4]=='1' then redis.call('LPUSH',KEYS[2],ARGV[2])\n"
"else redis.call('RPUSH',KEYS[2],ARGV[2]) end\n"
"return 1",

[QUEUE_PROMOTE] =
"local due=redis.call('ZRANGEBYSCORE',KEYS[1],'-inf',ARGV[2],'LIMIT',0,100)\n"
"for _,e in ipairs(due) do\n"
" redis.call('ZREM',KEYS[1],e)\n"
" redis.call('RPUSH',ARGV[1]..':q:'.." POOL_OF("e") ",e)\n"
"end\n"
"local n=redis.call('ZRANGE',KEYS[1],0,0,'WITHSCORES')\n"
"return {#due,n[2] or '-1'}",

/*
 * At maxmemory Redis refuses a script's first write if it may need memory, but
 * not one that follows another: hence the DEL.  A full Redis must not make
 * workers look dead.  The scripts above begin with a removal anyway.
 */
[QUEUE_BEAT] =
"redis.call('DEL',KEYS[1])\n"
"redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3])\n"
"local new=redis.call('SADD',KEYS[2],ARGV[1])\n"
"local t=redis.call('TIME')\n"
"return {new,tonumber(t[1]),tonumber(t[2])}",

[QUEUE_BYE] =
"local n=redis.call('LLEN',KEYS[3])\n"
"redis.call('DEL',KEYS[1])\n"
/* With jobs left behind the name stays listed, so that they are taken over. */
"if n==0 then redis.call('SREM',KEYS[2],ARGV[1]) end\n"
"return n",

[QUEUE_TAKEOVER] =
"local moved,who=0,{}\n"
"local function over(w)\n"
" local run=ARGV[1]..':run:'..w\n"
" while true do\n"
"  local e=redis.call('RPOP',run)\n"
"  if not e then break end\n"
"  local d=math.min(string.byte(e,3)+1,255)\n"
"  e=string.sub(e,1,2)..string.char(d)..string.sub(e,4)\n"
"  redis.call('LPUSH',ARGV[1]..':q:'.." POOL_OF("e") ",e)\n"
"  moved=moved+1\n"
" end\n"
" redis.call('SREM',KEYS[1],w)\n"
" who[#who+1]=w\n"
"end\n"
/* ARGV[2..]: workers known to be dead though their heartbeat still stands. */
"for i=2,#ARGV do\n"
" if redis.call('SISMEMBER',KEYS[1],ARGV[i])==1 then\n"
"  redis.call('DEL',ARGV[1]..':worker:'..ARGV[i])\n"
"  over(ARGV[i])\n"
" end\n"
"end\n"
"for _,w in ipairs(redis.call('SMEMBERS',KEYS[1])) do\n"
" if redis.call('EXISTS',ARGV[1]..':worker:'..w)==0 then over(w) end\n"
"end\n"
"table.insert(who,1,moved)\n"
"return who",

[QUEUE_VIEW] =
"local beats={}\n"
"for _,w in ipairs(redis.call('SMEMBERS',KEYS[1])) do\n"
" local b=redis.call('GET',ARGV[1]..':worker:'..w)\n"
" if b then beats[#beats+1]=w beats[#beats+1]=b end\n"
"end\n"
"local t=redis.call('TIME')\n"
"return {tonumber(t[1]),tonumber(t[2]),beats}",

};

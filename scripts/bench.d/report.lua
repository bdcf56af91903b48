-- SPDX-License-Identifier: MIT
-- wrk ... -s report.lua URL [-- FILE [WARM SECONDS]]: with a FILE its content is
-- posted.  The last line of the output is one of JSON, for bench.py.
--
-- With WARM and SECONDS, which make up wrk's own time, "rate" is that of the
-- answers after the first WARM seconds.  It is for answers that take long: none
-- come in the beginning, and those under way at the end are not counted.
-- Looking at each answer costs too much for more than some thousand a second.
local threads = {}

function setup(thread)
   threads[#threads + 1] = thread
end

local function watch(warm, seconds)
   local ffi = require("ffi")
   ffi.cdef [[
      struct timespec { long sec, nsec; };
      int clock_gettime(int, struct timespec *);
   ]]
   local ts = ffi.new("struct timespec")
   local function now()
      ffi.C.clock_gettime(1, ts)        -- CLOCK_MONOTONIC
      return tonumber(ts.sec) + tonumber(ts.nsec) / 1e9
   end
   local from = now() + warm

   counted_s, answers = seconds, 0
   function response()
      local at = now()
      if at >= from and at < from + seconds then
         answers = answers + 1
      end
   end
end

local function rate(summary)
   local answers = threads[1]:get("answers")
   if answers == nil then
      return summary.requests / summary.duration * 1e6
   end
   return answers / threads[1]:get("counted_s")
end

function init(args)
   if args[2] then
      watch(tonumber(args[2]), tonumber(args[3]))
   end
   if args[1] then
      local file = assert(io.open(args[1], "rb"))
      wrk.method = "POST"
      wrk.headers["Content-Type"] = "application/octet-stream"
      wrk.body = file:read("*a")
      file:close()
   end
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '{"requests":%d,"rate":%f,"failed":%d,"p50_us":%d,"p99_us":%d}\n',
      summary.requests, rate(summary),
      e.connect + e.read + e.write + e.status + e.timeout,
      latency:percentile(50), latency:percentile(99)))
end

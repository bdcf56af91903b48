-- SPDX-License-Identifier: MIT
-- wrk ... -s report.lua URL [-- FILE [steady]]: with a FILE its content is
-- posted.  The last line of the output is one of JSON, for bench.py.
--
-- "steady" is for answers that take long: their number in a time is too small,
-- as those under way at its end are not counted.  "rate" goes from the first
-- answer to the last then.  Looking at each answer costs too much for more
-- than some thousand a second.
local threads = {}

function setup(thread)
   threads[#threads + 1] = thread
end

local function watch()
   local ffi = require("ffi")
   ffi.cdef [[
      struct timespec { long sec, nsec; };
      int clock_gettime(int, struct timespec *);
   ]]
   local ts = ffi.new("struct timespec")
   answers = 0
   function response()
      ffi.C.clock_gettime(1, ts)        -- CLOCK_MONOTONIC
      last_s = tonumber(ts.sec) + tonumber(ts.nsec) / 1e9
      first_s = first_s or last_s
      answers = answers + 1
   end
end

local function rate(summary)
   local n = threads[1]:get("answers")
   if n == nil then
      return summary.requests / summary.duration * 1e6
   end
   if n < 2 then
      return 0
   end
   return (n - 1) / (threads[1]:get("last_s") - threads[1]:get("first_s"))
end

function init(args)
   if args[2] == "steady" then
      watch()
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

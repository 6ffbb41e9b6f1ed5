-- Returns how many ids wait, are delayed and are claimed.
local total = redis.call('HLEN', IDS)
local delayed = redis.call('ZCOUNT', SETS.delayed, '(' .. string.format('%.0f', NOW), '+inf')
local claimed = redis.call('ZCOUNT', SETS.claimed, '(' .. string.format('%.0f', NOW), '+inf')
return { total - delayed - claimed, delayed, claimed }

"""
What counts on Redis: windows are cut on its clock, and each script is one step that nothing gets in between.
"""

# The key of a counter's window and the microseconds until that ends, on the clock of Redis.
WINDOW = """
local now = redis.call('TIME')
local function window(key, period)
    local number = math.floor(now[1] / period)
    local left = ((number + 1) * period - now[1]) * 1000000 - now[2]
    return key .. ':' .. period .. ':' .. string.format('%.0f', number), left
end
"""
# Of counters with limit, period and cost in the arguments: counts the call in all of them, or where one refuses it in none. Returns of each
# whether it admits the call, the calls used in the window and the microseconds until that ends.
COUNT = (
    WINDOW
    + """
local found, keys, is_refused = {}, {}, false
for number, name in ipairs(KEYS) do
    local limit, period, cost = tonumber(ARGV[3 * number - 2]), tonumber(ARGV[3 * number - 1]), tonumber(ARGV[3 * number])
    local key, left = window(name, period)
    local used = tonumber(redis.call('GET', key) or '0')
    local admits = cost == 0 or used + cost <= limit
    found[number], keys[number] = {admits and 1 or 0, used, left}, key
    is_refused = is_refused or not admits
end
if is_refused then return found end
for number, key in ipairs(keys) do
    local period, cost = tonumber(ARGV[3 * number - 1]), tonumber(ARGV[3 * number])
    local used = redis.call('INCRBY', key, cost)
    if used == cost then redis.call('EXPIRE', key, period + 60) end
    found[number][2] = used
end
return found
"""
)
# Of counters with the periods in the arguments; returns of each the calls used and the microseconds left.
READ = (
    WINDOW
    + """
local found = {}
for number, name in ipairs(KEYS) do
    local key, left = window(name, tonumber(ARGV[number]))
    found[number] = {tonumber(redis.call('GET', key) or '0'), left}
end
return found
"""
)
RESET = (
    WINDOW
    + """
for number, name in ipairs(KEYS) do
    local key = window(name, tonumber(ARGV[number]))
    redis.call('DEL', key)
end
return 1
"""
)

-- Asks the forward-auth endpoint whether a request may pass.

local http = require("socket.http")
local sink = require("ltn12").sink

local endpoint = "http://127.0.0.1:9180/auth/verify"

-- In seconds.
local patience = 2

-- How many bytes of headers the endpoint is asked with: it refuses what is far
-- larger while it is still being sent, as if it were down.
local most = 100000

local function unavailable(r)
    r.err_headers_out["Retry-After"] = "1"
    return 503
end

function verify(r)
    -- A client that lists a header in Connection has it removed on the way to
    -- the API: also the one that tells the API who it is.
    local connection = r.headers_in["Connection"]
    if connection and connection:lower():find("x[-_.]auth") then
        return 400
    end

    -- The headers of several lines arrive joined by commas, which the endpoint
    -- refuses in a credential.
    local asked = {
        ["authorization"] = r.headers_in["Authorization"],
        ["user-agent"] = r.headers_in["User-Agent"],
        ["traceparent"] = r.headers_in["Traceparent"],
        -- Of a CORS preflight.
        ["origin"] = r.headers_in["Origin"],
        ["access-control-request-method"] = r.headers_in["Access-Control-Request-Method"],
        ["x-original-method"] = r.method,
        ["x-original-uri"] = r.unparsed_uri,
        ["x-real-ip"] = r.useragent_ip,
        -- Where the endpoint has a secret-file: its content. This file is as
        -- secret then.
        --["x-gateway-secret"] = "CONTENT-OF-SECRET-FILE",
    }
    local bytes = 0
    for name, value in pairs(asked) do
        bytes = bytes + #name + #value
    end
    if bytes > most then
        return 431
    end
    http.TIMEOUT = patience
    local done, status, headers = http.request({
        url = endpoint,
        method = "GET",
        redirect = false,
        sink = sink.null(),
        headers = asked,
    })
    if not done then
        return unavailable(r)
    end
    local user = headers["x-auth-user"]
    if status == 200 and user and user ~= "" then
        r.headers_in["X-Auth-User"] = user
        r.headers_in["X-Auth-Slot"] = headers["x-auth-slot"]
        -- What the client is told of its token, whatever the API's status.
        for _, name in ipairs({ "Api-Token-Slot", "Api-Token-Expires" }) do
            if headers[name:lower()] then
                r.err_headers_out[name] = headers[name:lower()]
            end
        end
        return apache2.OK
    elseif status == 200 and r.method == "OPTIONS" and headers["x-auth-slot"] == "preflight" then
        -- A CORS preflight, where the endpoint is set to let them pass: it has
        -- no user.
        r.headers_in["X-Auth-Slot"] = "preflight"
        return apache2.OK
    elseif status == 401 then
        r.err_headers_out["WWW-Authenticate"] = headers["www-authenticate"]
        return 401
    elseif status == 400 or status == 403 or status == 429 or status == 431 then
        return status
    end
    return unavailable(r)
end

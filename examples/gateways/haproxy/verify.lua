-- Asks the forward-auth endpoint whether a request may pass.

local endpoint = "http://127.0.0.1:9180/auth/verify"

-- In milliseconds. HAProxy 2.6 tries four times and cannot be told not to, so
-- an endpoint that hangs costs four times this.
local patience = 500

-- How many bytes of headers the endpoint is asked with: what is larger might not
-- fit into HAProxy's buffer, and would look like an endpoint that is down.
local most = 12000

-- All lines of a header, so that the endpoint sees a repeated credential.
local function lines(headers, name)
    local values = {}
    for _, value in pairs(headers[name] or {}) do
        values[#values + 1] = value
    end
    return values
end

local function first(answer, name)
    local values = answer.headers and answer.headers[name]
    return values and (values[0] or values[1]) or ""
end

local function size(headers)
    local bytes = 0
    for name, values in pairs(headers) do
        for _, value in ipairs(values) do
            bytes = bytes + #name + #value
        end
    end
    return bytes
end

core.register_action("verify", { "http-req" }, function(txn)
    local headers = txn.http:req_get_headers()
    local asked = {
        ["authorization"] = lines(headers, "authorization"),
        ["user-agent"] = lines(headers, "user-agent"),
        ["traceparent"] = lines(headers, "traceparent"),
        -- Of a CORS preflight.
        ["origin"] = lines(headers, "origin"),
        ["access-control-request-method"] = lines(headers, "access-control-request-method"),
        ["x-original-method"] = { txn.f:method() },
        ["x-original-uri"] = { txn.f:pathq() or "*" },
        ["x-real-ip"] = { txn.f:src() },
        -- Where the endpoint has a secret-file: its content. This file is as
        -- secret then.
        --["x-gateway-secret"] = { "CONTENT-OF-SECRET-FILE" },
    }
    if size(asked) > most then
        txn:set_var("txn.auth_status", 431)
        return
    end
    local answer = core.httpclient():get({ url = endpoint, timeout = patience, headers = asked })
    if answer == nil or answer.status == nil then
        return
    end
    txn:set_var("txn.auth_status", answer.status)
    if answer.status == 200 then
        txn:set_var("txn.auth_user", first(answer, "x-auth-user"))
        txn:set_var("txn.auth_slot", first(answer, "x-auth-slot"))
        txn:set_var("txn.token_slot", first(answer, "api-token-slot"))
        txn:set_var("txn.token_expires", first(answer, "api-token-expires"))
    elseif answer.status == 401 then
        txn:set_var("txn.auth_challenge", first(answer, "www-authenticate"))
    end
end)

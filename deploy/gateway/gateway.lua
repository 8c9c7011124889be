-- Request ids, GET without a body, and TorchServe's own errors in the contract's shape.

-- TorchServe and the handler answer errors with the same statuses and content type; only the body of the handler's
-- is {"error": ...}. By the status of TorchServe's: status, code, message, and the seconds to wait.
local TORCHSERVE = {
  ["400"] = {"400", "malformed_body", "the server cannot read this request"},
  ["404"] = {"503", "unavailable", "the server has not loaded its model: wait for Retry-After seconds", "5"},
  ["413"] = {"413", "too_large", "a request may have 28 MiB, and a picture in it 20 MiB"},
  ["503"] = {"503", "unavailable", "all workers are busy: wait for Retry-After seconds", "5"},
}
local BAD_FORM = {"400", "malformed_body", "the form cannot be read: every part needs a name"}
local OTHER = {"500", "internal_error", "the server failed on this request; its log has the cause under this request id"}

function envoy_on_request(handle)
  local headers = handle:headers()
  local sent = headers:get("x-zfnet-sent-id")
  headers:remove("x-zfnet-sent-id")
  if sent and #sent <= 64 and sent:find("^[%w._-]+$") then
    headers:replace("x-request-id", sent)
  end
  handle:streamInfo():dynamicMetadata():set("zfnet", "request_id", headers:get("x-request-id"))
  headers:replace(":path", headers:get(":path"):match("^[^?]*"))  -- nothing of the contract is in a query

  -- A picture in it would be explained, and with GET nobody has shown a token.
  local body = headers:get(":method") == "GET" and handle:body()
  if body then
    body:setBytes("")
    handle:headers():replace("content-length", "0")
  end
end

function envoy_on_response(handle)
  local status = handle:headers():get(":status")
  if tonumber(status) < 400 then
    return
  end
  local body = handle:body(true)  -- waits for the whole of it
  local text = body:getBytes(0, body:length())
  if text:find('^{"error"') or (text == "" and status ~= "413") then  -- HEAD is answered without a body
    return
  end
  local answer = TORCHSERVE[status] or OTHER
  if text:find('"type": "ErrorDataDecoderException"', 1, true) then
    answer = BAD_FORM
  end
  local metadata = handle:streamInfo():dynamicMetadata():get("zfnet")
  local length = body:setBytes(string.format(
    '{"error":{"code":"%s","message":"%s","request_id":"%s"}}\n', answer[2], answer[3], metadata["request_id"]))
  local headers = handle:headers()
  headers:replace(":status", answer[1])
  headers:replace("content-type", "application/json")
  headers:replace("content-length", tostring(length))
  if answer[4] then
    headers:replace("retry-after", answer[4])
  end
end

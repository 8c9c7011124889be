-- Request ids, options in the query, GET without its body, readiness, and errors that are not the handler's in the
-- contract's shape.

-- By the status of TorchServe's errors: status, code, message, and the seconds to wait.
local TORCHSERVE = {
  ["400"] = {"400", "malformed_body", "the server cannot read this request"},
  ["404"] = {"503", "unavailable", "the server has not loaded its model: wait for Retry-After seconds", "5"},
  ["413"] = {"413", "too_large", "a request may have 28 MiB, and a picture in it 20 MiB"},
  ["503"] = {"503", "unavailable", "all workers are busy: wait for Retry-After seconds", "5"},
}
local BAD_FORM = {"400", "malformed_body", "the form cannot be read: every part needs a name. A picture alone goes without a "
  .. "form, under a Content-Type of its own: curl -T FILE, or -H 'Content-Type: image/jpeg' --data-binary @FILE"}
local OTHER = {"500", "internal_error", "the server failed on this request; its log has the cause under this request id"}

-- What TorchServe takes of headers, in bytes, less what the gateway adds; what it takes away itself does not count.
local MOST_HEADERS = 8000
local TAKEN_AWAY = {authorization = true, cookie = true, origin = true, ["sec-fetch-site"] = true}

local function decoded(text)
  return (text:gsub("%+", " "):gsub("%%(%x%x)", function(code) return string.char(tonumber(code, 16)) end))
end

-- Every option of a request, by its header's name; with its value where it stands in the query.
local function options(headers, query)
  local found = {}
  for header in pairs(headers) do
    local name = header:match("^x%-explain%-(.+)")
    if name then
      table.insert(found, {name = name})
    end
  end
  for part in query:gmatch("[^&]+") do
    local name, value = part:match("^([^=]*)=?(.*)")
    table.insert(found, {name = decoded(name):lower():gsub("_", "-"), value = decoded(value)})
  end
  return found
end

-- TorchServe has headers of its own with underscores, such as url_path.
local function drop_underscores(headers)
  local dropped = {}
  for header in pairs(headers) do
    if header:find("_", 1, true) and not header:find("^x%-explain%-") then
      table.insert(dropped, header)
    end
  end
  for _, header in ipairs(dropped) do
    headers:remove(header)
  end
end

-- TorchServe drops a query unseen, and of a header that is sent twice all but the last. So an option in the query
-- becomes a header, and the server refuses what it does not know; one that cannot, or comes twice, is refused here.
local function take_options(headers, query)
  local given = {}
  for _, option in ipairs(options(headers, query)) do
    local name = option.name:gsub("%-", "_")
    if option.value and not name:find("^[%w_]+$") then
      return "the query takes options, such as ?format=png"
    elseif option.value and option.value:find("[^\32-\126]") then
      return "`" .. name .. "` may be ASCII in the query: send all else in a form or in JSON", name
    elseif given[name] then
      return "`" .. name .. "` is given twice", name
    end
    given[name] = true
    if option.value then
      headers:replace("x-explain-" .. option.name, option.value)
    end
  end
end

-- TorchServe says 400 and hangs up in the middle of a large body, which reads as a server that is gone.
local function too_many_bytes(headers)
  local bytes = 0
  for name, value in pairs(headers) do
    bytes = bytes + (TAKEN_AWAY[name] and 0 or #name + 2 + #value)
  end
  return bytes > MOST_HEADERS
end

-- A picture in a GET would be explained, and nobody has shown a token. Piece by piece as it comes, so that the filters
-- that may refuse the request have its headers at once, and a body that never ends takes no memory.
local function drop_body(handle)
  handle:headers():remove("content-length")
  for chunk in handle:bodyChunks() do
    chunk:setBytes("")
  end
end

local function refuse(handle, status, code, message, option)
  handle:streamInfo():dynamicMetadata():set("zfnet", "refused", true)
  handle:respond({[":status"] = status}, string.format(
    '{"error":{"code":"%s","message":"%s"%s,"request_id":"%s"}}\n',
    code, message, option and ',"option":"' .. option .. '"' or "", handle:headers():get("x-request-id")))
end

function envoy_on_request(handle)
  local headers = handle:headers()
  local sent = headers:get("x-zfnet-sent-id")
  headers:remove("x-zfnet-sent-id")
  if sent and #sent <= 64 and sent:find("^[%w._-]+$") then
    headers:replace("x-request-id", sent)
  end
  local metadata = handle:streamInfo():dynamicMetadata()
  metadata:set("zfnet", "request_id", headers:get("x-request-id"))
  if not headers:get(":path") then  -- CONNECT alone has none
    handle:respond({[":status"] = "405", allow = "GET, POST, PUT"}, "")
    return
  end
  local path, query = headers:get(":path"):match("^([^?]*)%??(.*)")
  headers:replace(":path", path)
  metadata:set("zfnet", "v2", path:find("^/v2/") ~= nil or path == "/v2")
  drop_underscores(headers)

  if headers:get(":method") == "GET" then
    drop_body(handle)
    return
  end
  local wrong, option = take_options(headers, query)
  if wrong then
    refuse(handle, "400", "invalid_option", wrong, option)
  elseif too_many_bytes(headers) then
    refuse(handle, "431", "malformed_body", "headers may have 8,000 bytes in all, options in the query among them")
  end
end

local function replace_body(handle, status, text)
  local length = handle:body(true):setBytes(text)  -- waits for the whole of it
  local headers = handle:headers()
  headers:replace(":status", status)
  headers:replace("content-type", "application/json")
  headers:replace("content-length", tostring(length))
end

-- TorchServe and the handler answer errors with the same statuses and content type; only the handler's bodies begin with
-- the error, or with V1's list of instances each of which has its own.
local function is_the_handlers(text)
  return text:find('^{"error"') or text:find('^{"explanations"') or text:find('^{"predictions"')
end

-- The contract's error in the place of TorchServe's.
local function translated(handle, text, request_id)
  local status = handle:headers():get(":status")
  local answer = TORCHSERVE[status] or OTHER
  if text:find('"type": "ErrorDataDecoderException"', 1, true) then
    answer = BAD_FORM
  end
  if answer[4] then
    handle:headers():replace("retry-after", answer[4])
  end
  return answer[1], string.format(
    '{"error":{"code":"%s","message":"%s","request_id":"%s"}}\n', answer[2], answer[3], request_id)
end

function envoy_on_response(handle)
  local status = handle:headers():get(":status")
  if tonumber(status) < 400 then
    local answer = handle:metadata():get("answer")
    if answer then
      replace_body(handle, status, answer)
    end
    return
  end
  local body = handle:body(true)
  local text = body:getBytes(0, body:length())
  if text == "" and status ~= "413" then  -- HEAD is answered without a body
    return
  end
  local request = handle:streamInfo():dynamicMetadata():get("zfnet")
  local error = text
  if not is_the_handlers(text) then
    status, error = translated(handle, text, request["request_id"])
  end
  local message = request and request["v2"] and error:match('"message":(".-[^\\]")')
  if message then  -- the Open Inference Protocol's errors are text
    error = '{"error":' .. message .. "}\n"
  end
  if error ~= text then
    replace_body(handle, status, error)
  end
end

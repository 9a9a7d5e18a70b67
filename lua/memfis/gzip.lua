--- Pages that are stored compressed: who takes them, and their identity.

local bit = require "bit"
local ffi = require "ffi"

ffi.cdef [[
typedef struct {
    const unsigned char *next_in;
    unsigned int avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned int avail_out;
    unsigned long total_out;
    const char *msg;
    void *state;
    void *allocate;
    void *release;
    void *opaque;
    int data_type;
    unsigned long adler;
    unsigned long reserved;
} memfis_z_stream;
const char *zlibVersion(void);
int inflateInit2_(memfis_z_stream *stream, int bits, const char *version, int size);
int inflate(memfis_z_stream *stream, int flush);
int inflateEnd(memfis_z_stream *stream);
]]

local _M = {}

-- As nginx has them (ngx_http_gzip_accept_encoding): the first such name, and what has to follow.
local NAME = [[(?:^|[ ,])gzip]]
local TAKEN = [[\G *(?:,|\z|; *q=(?:0[.](?=[0-9]*[1-9])[0-9]{1,3}|1(?:[.]0{0,3})?)(?:[ ,]|\z))]]
local REMEMBERED = 256
local GZIP_ONLY = 31 -- windowBits: a window of 32 KiB, behind a gzip header (zlib.h, inflateInit2)
local FINISH, STREAM_END = 4, 1

local taken, remembered = {}, 0

--- Return whether the Accept-Encoding `text` (nil: none was sent) takes gzip.
function _M.is_taken(text)
    if not text then
        return false
    end
    local found = taken[text]
    if found == nil then
        local _, last = ngx.re.find(text, NAME, "ijo")
        found = last ~= nil and ngx.re.find(text, TAKEN, "ijo", { pos = last + 1 }) ~= nil
        if remembered == REMEMBERED then
            taken, remembered = {}, 0
        end
        taken[text] = found
        remembered = remembered + 1
    end
    return found
end

--- Return how many bytes the gzip stream `packed` says to unpack to, modulo 2^32 (RFC 1952, ISIZE).
function _M.size(packed)
    local a, b, c, d = packed:byte(-4, -1)
    return d and a + b * 2 ^ 8 + c * 2 ^ 16 + d * 2 ^ 24
end

--- Return what the gzip stream `packed` unpacks to, `size` bytes; nil: it is damaged.
function _M.unpack(packed, size)
    local stream = ffi.new("memfis_z_stream")
    local C = ffi.C
    if C.inflateInit2_(stream, GZIP_ONLY, C.zlibVersion(), ffi.sizeof(stream)) ~= 0 then
        return nil
    end
    -- One byte more, as zlib wants room to see the end of an empty stream.
    local room = ffi.new("unsigned char[?]", size + 1)
    stream.next_in, stream.avail_in = packed, #packed
    stream.next_out, stream.avail_out = room, size + 1
    local ended = C.inflate(stream, FINISH) == STREAM_END
    local whole = ended and stream.total_out == size and stream.avail_in == 0
    C.inflateEnd(stream)
    return whole and ffi.string(room, size) or nil
end

--- Return whether the client flags of a page say that it is compressed (layout/pages.py).
function _M.is_packed(flags)
    return bit.band(flags, 2) ~= 0
end

return _M

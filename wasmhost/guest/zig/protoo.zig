//! The library for protoo modules in Zig. ABI.md says what the numbers and fields mean.
//!
//! A module has a function that says what is to be done with an event, and a manifest:
//!
//!     const protoo = @import("protoo");
//!
//!     comptime {
//!         protoo.serve(handle);
//!         asm (protoo.manifest(
//!                 \\{"name": "staff", "events": ["request"], "fields": ["param:room"]}
//!             ));
//!     }
//!
//!     fn handle(event: protoo.Event) protoo.Result {
//!         if (protoo.equal(event.key(.param, "room"), "staff")) return protoo.fail(403, "staff only");
//!         return protoo.next();
//!     }
//!
//! All memory that the functions here hand out is valid until the event is over, and given back then. When the memory that the
//! manifest asks for is used up the module traps, and the server makes another instance.

const std = @import("std");

pub const Kind = enum(u32) {
    self_test,
    request,
    response,
    notification,
    reply,
    timer,
    online,
    offline,
    configuration,
    drain,
    connect,
    returned,
    _,
};

pub const Field = enum(u16) {
    method = 1,
    path,
    base,
    param,
    data,
    sender,
    peer,
    peer_data,
    property,
    status,
    reason,
    failure,
    carry,
    correlation,
    delete_property,
    query,
    header,
    origin,
    remote,
    transport,
    secure,
    timeout,
    id,
    ended,
};

pub const Action = enum(u8) { next, skip_route, reply, fail, pending, skip_router };

pub const Flags = packed struct(u8) { watch: bool = false, changes: bool = false, returned: bool = false, _: u5 = 0 };

/// What the module wants done with an event, made by end and the functions that follow it.
pub const Result = packed struct(u64) { action: Action = .next, flags: Flags = .{}, _: u16 = 0, length: u32 = 0 };

/// Why the host has not done what it was asked for.
pub const Refused = error{ Absent, Limit, Invalid };

/// Returns the assembly text that writes a manifest, the text of a JSON object, into the module.
pub fn manifest(comptime json: []const u8) []const u8 {
    comptime var escaped: []const u8 = "";
    @setEvalBranchQuota(100_000);
    inline for (json) |c| escaped = escaped ++ switch (c) {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => " ",
        else => &[_]u8{c},
    };
    return ".section .custom_section.protoo.manifest,\"\",@\n.ascii \"" ++ escaped ++ "\"\n";
}

/// Exports what the host calls.
pub fn serve(comptime handle: fn (Event) Result) void {
    const exports = struct {
        fn marker() callconv(.C) void {}

        fn init(_: u32) callconv(.C) u64 {
            return reserve(0);
        }

        fn buffer(need: u32) callconv(.C) u64 {
            return reserve(need);
        }

        fn on(kind: u32, _: u32) callconv(.C) u64 {
            reset();
            return @bitCast(handle(.{ .kind = @enumFromInt(kind) }));
        }
    };
    @export(exports.marker, .{ .name = "protoo_abi_v1" });
    @export(exports.init, .{ .name = "protoo_init" });
    @export(exports.buffer, .{ .name = "protoo_buffer" });
    @export(exports.on, .{ .name = "protoo_on" });
}

const host = struct {
    extern "protoo_v1" fn get(field: u32, key: [*]const u8, key_size: usize, out: [*]u8, room: usize) i32;
    extern "protoo_v1" fn config(out: [*]u8, room: usize) i32;
    extern "protoo_v1" fn progress(frame: [*]const u8, size: usize) i32;
    extern "protoo_v1" fn log(level: u32, text: [*]const u8, size: usize) void;
    extern "protoo_v1" fn clock(which: u32) i64;
    extern "protoo_v1" fn random(out: [*]u8, size: usize) void;
    extern "protoo_v1" fn peer_find(username: [*]const u8, username_size: usize, uuid: [*]const u8, uuid_size: usize) i32;
    extern "protoo_v1" fn peer_send(frame: [*]const u8, size: usize) i32;
    extern "protoo_v1" fn peer_close(frame: [*]const u8, size: usize) i32;
    extern "protoo_v1" fn complete(token: u64, action: u32, frame: [*]const u8, size: usize) i32;
    extern "protoo_v1" fn timer(milliseconds: i64, correlation: u64, carry: [*]const u8, carry_size: usize) i32;
    extern "protoo_v1" fn kv_get(key: [*]const u8, key_size: usize, out: [*]u8, room: usize) i32;
    extern "protoo_v1" fn kv_cas(key: [*]const u8, key_size: usize, old: ?[*]const u8, old_size: isize, new: ?[*]const u8, new_size: isize, ttl: i64) i32;
    extern "protoo_v1" fn kv_add(key: [*]const u8, key_size: usize, delta: i64, ttl: i64, sum: *i64) i32;
    extern "protoo_v1" fn metric(name: [*]const u8, size: usize, kind: u32, value: i64) i32;
};

fn check(code: i32) Refused!usize {
    if (code >= 0) return @intCast(code);
    return switch (code) {
        -1 => error.Absent,
        -2 => error.Limit,
        else => error.Invalid,
    };
}

fn done(code: i32) Refused!void {
    _ = try check(code);
}

// ---- Memory: the host's buffer, as much again for the frame that is being written, and what alloc has given. ----

extern var __heap_base: u8; // from the linker: where the module's own data ends

var buffer: []u8 = &.{};
var frame: []u8 = &.{};
var written: usize = 0;
var fields: u16 = 0;
var top: usize = 0;

/// The buffer is small at first. When that is not enough, it becomes as large as a frame can be where the operator has not changed that,
/// so that there is room for an answer that is longer than the question.
fn reserve(need: u32) u64 {
    const small = 32 << 10;
    const large = 256 << 10;
    const size: usize = if (need <= small) small else @max(std.mem.alignForward(usize, need, 8), large);
    const at = std.mem.alignForward(usize, @intFromPtr(&__heap_base), 8);
    reach(at + 2 * size);
    buffer = @as([*]u8, @ptrFromInt(at))[0..size];
    frame = @as([*]u8, @ptrFromInt(at + size))[0..size];
    reset();
    return @as(u64, at) << 32 | size;
}

fn reset() void {
    top = @intFromPtr(frame.ptr) + frame.len;
    written = 16;
    fields = 0;
}

fn reach(end_of_use: usize) void {
    const have = @wasmMemorySize(0) * std.wasm.page_size;
    if (end_of_use > have and @wasmMemoryGrow(0, (end_of_use - have + std.wasm.page_size - 1) / std.wasm.page_size) < 0) @trap();
}

/// Returns memory for the time of the event. Its address is a multiple of 8.
pub fn alloc(size: usize) []u8 {
    const at = top;
    const limit = std.math.maxInt(i32);
    if (size > limit or at > limit) @trap();
    top = std.mem.alignForward(usize, at + size, 8);
    reach(top);
    return @as([*]u8, @ptrFromInt(at))[0..size];
}

// ---- Texts. ----

pub fn equal(a: []const u8, b: []const u8) bool {
    return std.mem.eql(u8, a, b);
}

/// Joins texts.
pub fn join(parts: []const []const u8) []const u8 {
    var size: usize = 0;
    for (parts) |part| size += part.len;
    const all = alloc(size);
    var at: usize = 0;
    for (parts) |part| {
        @memcpy(all[at..][0..part.len], part);
        at += part.len;
    }
    return all;
}

/// Writes a number in decimal.
pub fn decimal(number: i64) []const u8 {
    const all = alloc(24);
    return all[0..std.fmt.formatIntBuf(all, number, 10, .lower, .{})];
}

/// Cuts a text off so that it has at most so many bytes and no half characters.
pub fn cut(text: []const u8, most: usize) []const u8 {
    if (text.len <= most) return text;
    var size = most;
    while (size > 0 and text[size] & 0xc0 == 0x80) size -= 1;
    return text[0..size];
}

// ---- Reading. ----

fn load(comptime T: type, bytes: []const u8, at: usize) T {
    return std.mem.readIntLittle(T, bytes[at..][0..@sizeOf(T)]);
}

/// What the module is told of. Fields that the manifest does not list are asked of the host.
pub const Event = struct {
    kind: Kind,

    const Found = struct { key: []const u8, value: []const u8 };

    /// Without a name, any key will do.
    fn find(_: Event, field: Field, name: ?[]const u8) ?Found {
        var at: usize = 16;
        for (0..load(u16, buffer, 6)) |_| {
            const key_size: usize = load(u16, buffer, at + 2);
            const size = key_size + load(u32, buffer, at + 4);
            const both = buffer[at + 8 ..][0..size];
            const found = Found{ .key = both[0..key_size], .value = both[key_size..] };
            if (load(u16, buffer, at) == @intFromEnum(field) and (name == null or equal(found.key, name.?))) return found;
            at += 8 + std.mem.alignForward(usize, size, 4);
        }
        return null;
    }

    /// Names the request or connection that the event is about.
    pub fn token(_: Event) u64 {
        return load(u64, buffer, 8);
    }

    /// The value of a field that has a key, null if there is none.
    pub fn findKey(event: Event, field: Field, name: []const u8) ?[]const u8 {
        if (event.find(field, name)) |found| return found.value;
        var out = alloc(256);
        var size = check(host.get(@intFromEnum(field), name.ptr, name.len, out.ptr, out.len)) catch return null;
        if (size > out.len) {
            out = alloc(size);
            size = check(host.get(@intFromEnum(field), name.ptr, name.len, out.ptr, out.len)) catch return null;
        }
        return out[0..size];
    }

    /// The value of a field that has a key, "" if there is none.
    pub fn key(event: Event, field: Field, name: []const u8) []const u8 {
        return event.findKey(field, name) orelse "";
    }

    /// The value of a field, "" if there is none.
    pub fn get(event: Event, field: Field) []const u8 {
        return event.key(field, "");
    }

    /// The value of a field that is a number of 4 bytes, 0 if there is none.
    pub fn number(event: Event, field: Field) u32 {
        const value = event.get(field);
        return if (value.len == 4) load(u32, value, 0) else 0;
    }

    /// What the module has given to the message or timer that the event follows from.
    pub fn correlation(event: Event) u64 {
        const found = event.find(.correlation, null) orelse return 0;
        return if (found.value.len == 8) load(u64, found.value, 0) else 0;
    }

    /// The user's name of the peer that the event is about.
    pub fn username(event: Event) []const u8 {
        return if (event.find(.peer, null)) |found| found.key else event.key(.peer, "username");
    }

    /// Which of the user's devices it is.
    pub fn uuid(event: Event) []const u8 {
        return if (event.find(.peer, null)) |found| found.value else event.key(.peer, "uuid");
    }
};

// ---- Writing: the fields that are put go into the next result, or to the next function that sends something. ----

/// Adds a field that has a key. A reason or error is cut off after 1,024 bytes, which is all that the host takes. The module traps if the
/// frame becomes larger than the buffer.
pub fn putKey(field: Field, key: []const u8, whole: []const u8) void {
    const value = if (field == .reason or field == .failure) cut(whole, 1024) else whole;
    const size = 8 + std.mem.alignForward(usize, key.len + value.len, 4);
    if (key.len > std.math.maxInt(u16) or size > frame.len - written) @trap();
    const at = frame[written..][0..size];
    @memset(at[size - 4 ..], 0); // the padding is in the last 4 bytes
    std.mem.writeIntLittle(u16, at[0..2], @intFromEnum(field));
    std.mem.writeIntLittle(u16, at[2..4], @as(u16, @intCast(key.len)));
    std.mem.writeIntLittle(u32, at[4..8], @as(u32, @intCast(value.len)));
    @memcpy(at[8..][0..key.len], key);
    @memcpy(at[8 + key.len ..][0..value.len], value);
    written += size;
    fields += 1;
}

/// Adds a field without a key.
pub fn put(field: Field, value: []const u8) void {
    putKey(field, "", value);
}

/// Adds a field that is a number: a u32, or a u64 for the correlation.
pub fn putNumber(field: Field, number: anytype) void {
    put(field, std.mem.asBytes(&number));
}

/// Completes the frame and begins another one: nothing if nothing was put.
fn take() []const u8 {
    const length = if (fields == 0) 0 else written;
    std.mem.writeIntLittle(u32, frame[0..4], @as(u32, @intCast(length)));
    std.mem.writeIntLittle(u16, frame[4..6], 1);
    std.mem.writeIntLittle(u16, frame[6..8], fields);
    @memset(frame[8..16], 0);
    written = 16;
    fields = 0;
    return frame[0..length];
}

// ---- Results. ----

/// Makes a result of an action, flags, and what was put.
pub fn end(action: Action, flags: Flags) Result {
    const result = take();
    @memcpy(buffer[0..result.len], result);
    return .{ .action = action, .flags = flags, .length = @intCast(result.len) };
}

/// Passes the request on as it is.
pub fn next() Result {
    return .{};
}

/// Keeps the request. It needs the capability async.
pub fn pending() Result {
    return .{ .action = .pending };
}

fn putStatus(status: u32, reason: []const u8) void {
    putNumber(.status, status);
    put(.reason, reason);
}

/// Answers the request with a status, a reason and the data that was put, if any.
pub fn reply(status: u32, reason: []const u8) Result {
    putStatus(status, reason);
    return end(.reply, .{});
}

/// Fails the request, or refuses the connection, with a status and a reason that the peer sees.
pub fn fail(status: u32, reason: []const u8) Result {
    putStatus(status, reason);
    return end(.fail, .{});
}

/// Fails the request with an error whose text peers see only in development.
pub fn failInternally(text: []const u8) Result {
    put(.failure, text);
    return end(.fail, .{});
}

// ---- What else the host can do. Each function names the capability that it needs. ----

/// Sends a provisional response to the request that the event is about, with a status of 100 to 199 and the data that was put.
pub fn progress(status: u32, reason: []const u8) Refused!void {
    putStatus(status, reason);
    const f = take();
    return done(host.progress(f.ptr, f.len));
}

/// Returns the operator's settings, JSON, null if there are none.
pub fn config() ?[]const u8 {
    var out = alloc(256);
    var size = check(host.config(out.ptr, out.len)) catch return null;
    if (size > out.len) {
        out = alloc(size);
        size = check(host.config(out.ptr, out.len)) catch return null;
    }
    return out[0..size];
}

pub const Level = enum(u32) { debug, info, warning, err };

/// Writes a line to the log of the server: log.
pub fn log(level: Level, text: []const u8) void {
    host.log(@intFromEnum(level), text.ptr, text.len);
}

/// Returns nanoseconds since 1970: clock.
pub fn now() i64 {
    return host.clock(0);
}

/// Fills memory with random bytes: random.
pub fn random(out: []u8) void {
    host.random(out.ptr, out.len);
}

/// Counts the peers that are online, where "" stands for any: peer.read.
pub fn peers(username: []const u8, uuid: []const u8) usize {
    return check(host.peer_find(username.ptr, username.len, uuid.ptr, uuid.len)) catch 0;
}

/// Sends a peer a request, with the data, correlation, carry and so on that were put: peer.send. The answers come as
/// events of the kind reply, if there is the capability async.
pub fn send(username: []const u8, uuid: []const u8, method: []const u8, path: []const u8) Refused!void {
    putKey(.peer, username, uuid);
    put(.method, method);
    put(.path, path);
    const f = take();
    return done(host.peer_send(f.ptr, f.len));
}

/// Closes the connection of a peer: peer.send.
pub fn disconnect(username: []const u8, uuid: []const u8, code: u32, reason: []const u8) Refused!void {
    putKey(.peer, username, uuid);
    putStatus(code, reason);
    const f = take();
    return done(host.peer_close(f.ptr, f.len));
}

/// Ends what is pending under another event's token, with what was put: async.
pub fn complete(token: u64, action: Action) Refused!void {
    const f = take();
    return done(host.complete(token, @intFromEnum(action), f.ptr, f.len));
}

/// Asks for an event of the kind timer: async.
pub fn timer(milliseconds: i64, correlation: u64, carry: []const u8) Refused!void {
    return done(host.timer(milliseconds, correlation, carry.ptr, carry.len));
}

/// Returns a value of the store that the module's instances share, null if there is none: kv.
pub fn read(key: []const u8) ?[]const u8 {
    const out = alloc(4096); // no value is larger
    const size = check(host.kv_get(key.ptr, key.len, out.ptr, out.len)) catch return null;
    return out[0..size];
}

/// Stores a value if the present one is old, and tells whether it was: kv. null stands for no value. It expires after ttl
/// milliseconds, 0 means never.
pub fn swap(key: []const u8, old: ?[]const u8, new: ?[]const u8, ttl: i64) Refused!bool {
    return try check(host.kv_cas(
        key.ptr,
        key.len,
        if (old) |o| o.ptr else null,
        if (old) |o| @intCast(o.len) else -1,
        if (new) |n| n.ptr else null,
        if (new) |n| @intCast(n.len) else -1,
        ttl,
    )) == 1;
}

/// Adds to the number that is stored at key and returns the sum: kv. A key that is made now expires after ttl milliseconds.
pub fn add(key: []const u8, delta: i64, ttl: i64) Refused!i64 {
    var sum: i64 = undefined;
    try done(host.kv_add(key.ptr, key.len, delta, ttl, &sum));
    return sum;
}

/// Adds to a counter of the module: metrics.
pub fn count(name: []const u8, value: i64) Refused!void {
    return done(host.metric(name.ptr, name.len, 0, value));
}

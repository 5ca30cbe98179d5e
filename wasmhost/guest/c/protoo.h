/*
 * The library for protoo modules in C. ABI.md says what the numbers and fields mean.
 *
 * A module is one file that includes this header, has a manifest and defines protoo_handle:
 *
 *	#include "protoo.h"
 *
 *	PROTOO_MANIFEST({"name": "staff", "events": ["request"], "fields": ["param:room"]})
 *
 *	protoo_result protoo_handle(protoo_event event) {
 *		(void)event;
 *		if (protoo_equal(protoo_get_key(PROTOO_FIELD_PARAM, PROTOO_TEXT("room")), PROTOO_TEXT("staff")))
 *			return protoo_error(403, PROTOO_TEXT("staff only"));
 *		return protoo_next();
 *	}
 *
 * It needs no C library. All memory that the functions here hand out is valid until the event is over, and given
 * back then. When the memory that the manifest asks for is used up the module traps, and the server makes another instance.
 */
#ifndef PROTOO_H
#define PROTOO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
	PROTOO_EVENT_SELF_TEST,
	PROTOO_EVENT_REQUEST,
	PROTOO_EVENT_RESPONSE,
	PROTOO_EVENT_NOTIFICATION,
	PROTOO_EVENT_REPLY,
	PROTOO_EVENT_TIMER,
	PROTOO_EVENT_ONLINE,
	PROTOO_EVENT_OFFLINE,
	PROTOO_EVENT_CONFIGURATION,
	PROTOO_EVENT_DRAIN,
	PROTOO_EVENT_CONNECT,
	PROTOO_EVENT_RETURNED,
} protoo_event;

typedef enum {
	PROTOO_FIELD_METHOD = 1,
	PROTOO_FIELD_PATH,
	PROTOO_FIELD_BASE,
	PROTOO_FIELD_PARAM,
	PROTOO_FIELD_DATA,
	PROTOO_FIELD_SENDER,
	PROTOO_FIELD_PEER,
	PROTOO_FIELD_PEER_DATA,
	PROTOO_FIELD_PROPERTY,
	PROTOO_FIELD_STATUS,
	PROTOO_FIELD_REASON,
	PROTOO_FIELD_ERROR,
	PROTOO_FIELD_CARRY,
	PROTOO_FIELD_CORRELATION,
	PROTOO_FIELD_DELETE_PROPERTY,
	PROTOO_FIELD_QUERY,
	PROTOO_FIELD_HEADER,
	PROTOO_FIELD_ORIGIN,
	PROTOO_FIELD_REMOTE,
	PROTOO_FIELD_TRANSPORT,
	PROTOO_FIELD_SECURE,
	PROTOO_FIELD_TIMEOUT,
	PROTOO_FIELD_ID,
	PROTOO_FIELD_ENDED,
} protoo_field;

typedef enum {
	PROTOO_ACTION_NEXT,
	PROTOO_ACTION_SKIP_ROUTE,
	PROTOO_ACTION_REPLY,
	PROTOO_ACTION_ERROR,
	PROTOO_ACTION_PENDING,
	PROTOO_ACTION_SKIP_ROUTER,
} protoo_action;

enum { PROTOO_FLAG_WATCH = 1, PROTOO_FLAG_CHANGES = 2, PROTOO_FLAG_RETURNED = 4 };

/* What host functions return when they do not do what they were asked for. */
enum { PROTOO_ABSENT = -1, PROTOO_LIMIT = -2, PROTOO_INVALID = -3 };

typedef enum { PROTOO_LOG_DEBUG, PROTOO_LOG_INFO, PROTOO_LOG_WARNING, PROTOO_LOG_ERROR } protoo_log_level;

/* protoo_result is what protoo_handle returns, made by protoo_next, protoo_reply, protoo_error, protoo_pending or protoo_end. */
typedef int64_t protoo_result;

/* protoo_text is UTF-8 or other bytes, without a zero at the end. bytes is NULL where there is no value. */
typedef struct {
	const char *bytes;
	uint32_t size;
} protoo_text;

/* PROTOO_TEXT makes a protoo_text of a string literal. */
#define PROTOO_TEXT(literal) ((protoo_text){(literal), sizeof(literal) - 1})

/* protoo_handle is what the module does with an event. The module defines it. */
static protoo_result protoo_handle(protoo_event event);

/* PROTOO_MANIFEST writes a JSON object into the module's section for that. */
#define PROTOO_MANIFEST(...) PROTOO_MANIFEST_QUOTED(#__VA_ARGS__)
#define PROTOO_MANIFEST_QUOTED(quoted) PROTOO_MANIFEST_SECTION(#quoted)
#define PROTOO_MANIFEST_SECTION(escaped) \
	__asm__(".section .custom_section.protoo.manifest,\"\",@\n.ascii " escaped "\n.text\n");

/* ---- Functions of the host. ---- */

#define PROTOO_IMPORT(name) __attribute__((import_module("protoo_v1"), import_name(name)))

PROTOO_IMPORT("get")
int32_t protoo_host_get(uint32_t field, const char *key, uint32_t key_size, void *out, uint32_t room);
PROTOO_IMPORT("config") int32_t protoo_host_config(void *out, uint32_t room);
PROTOO_IMPORT("progress") int32_t protoo_host_progress(const void *frame, uint32_t size);
PROTOO_IMPORT("log") void protoo_host_log(uint32_t level, const char *text, uint32_t size);
PROTOO_IMPORT("clock") int64_t protoo_host_clock(uint32_t which);
PROTOO_IMPORT("random") void protoo_host_random(void *out, uint32_t size);
PROTOO_IMPORT("peer_find")
int32_t protoo_host_peer_find(const char *username, uint32_t username_size, const char *uuid, uint32_t uuid_size);
PROTOO_IMPORT("peer_list")
int32_t protoo_host_peer_list(const char *username, uint32_t username_size, void *out, uint32_t room);
PROTOO_IMPORT("peer_send") int32_t protoo_host_peer_send(const void *frame, uint32_t size);
PROTOO_IMPORT("peer_close") int32_t protoo_host_peer_close(const void *frame, uint32_t size);
PROTOO_IMPORT("complete")
int32_t protoo_host_complete(uint64_t token, uint32_t action, const void *frame, uint32_t size);
PROTOO_IMPORT("timer")
int32_t protoo_host_timer(int64_t milliseconds, uint64_t correlation, const char *carry, uint32_t carry_size);
PROTOO_IMPORT("kv_get") int32_t protoo_host_kv_get(const char *key, uint32_t key_size, void *out, uint32_t room);
PROTOO_IMPORT("kv_cas")
int32_t protoo_host_kv_cas(const char *key, uint32_t key_size, const char *old, int32_t old_size, const char *value,
	int32_t value_size, int64_t ttl);
PROTOO_IMPORT("kv_add")
int32_t protoo_host_kv_add(const char *key, uint32_t key_size, int64_t delta, int64_t ttl, int64_t *sum);
PROTOO_IMPORT("metric") int32_t protoo_host_metric(const char *name, uint32_t size, uint32_t kind, int64_t value);

/* ---- Memory: the host's buffer, as much again for the frame that is being written, and what protoo_alloc has given. ---- */

extern unsigned char __heap_base; /* from the linker: where the module's own data ends */

static struct {
	unsigned char *buffer, *frame, *top;
	uint32_t size;            /* of the buffer, and room for the frame */
	uint32_t written, fields; /* of the frame */
} protoo_memory;

static inline unsigned char *protoo_reach(unsigned char *end) {
	uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
	if ((uintptr_t)end > have && __builtin_wasm_memory_grow(0, ((uintptr_t)end - have + 0xffff) >> 16) == (size_t)-1)
		__builtin_trap();
	return end;
}

/* protoo_alloc returns memory for the time of the event. Its address is a multiple of 8. */
static inline void *protoo_alloc(uint32_t size) {
	unsigned char *at = protoo_memory.top;
	uint64_t end = (uint64_t)(uintptr_t)at + (((uint64_t)size + 7) & ~(uint64_t)7);
	if (end > UINT32_MAX)
		__builtin_trap();
	protoo_memory.top = protoo_reach((unsigned char *)(uintptr_t)end);
	return at;
}

static inline void protoo_reset(void) {
	protoo_memory.top = protoo_memory.frame + protoo_memory.size;
	protoo_memory.written = 16;
	protoo_memory.fields = 0;
}

/* The buffer is small at first. When that is not enough, it becomes as large as a frame can be where the operator has not changed that,
 * so that there is room for an answer that is longer than the question. */
static inline uint64_t protoo_reserve(uint32_t need) {
	enum { SMALL = 32 << 10, LARGE = 256 << 10 };
	uint32_t size = need <= SMALL ? SMALL : need <= LARGE ? LARGE : (need + 7) & ~7u;
	protoo_memory.buffer = (unsigned char *)(((uintptr_t)&__heap_base + 7) & ~(uintptr_t)7);
	protoo_memory.frame = protoo_memory.buffer + size;
	protoo_memory.size = size;
	protoo_reset();
	protoo_reach(protoo_memory.top);
	return (uint64_t)(uintptr_t)protoo_memory.buffer << 32 | size;
}

/* ---- Texts. ---- */

static inline bool protoo_equal(protoo_text a, protoo_text b) {
	if (a.size != b.size)
		return false;
	for (uint32_t i = 0; i < a.size; i++)
		if (a.bytes[i] != b.bytes[i])
			return false;
	return true;
}

static inline bool protoo_has_prefix(protoo_text text, protoo_text prefix) {
	return text.size >= prefix.size && protoo_equal((protoo_text){text.bytes, prefix.size}, prefix);
}

/* protoo_after returns the text without its first bytes. There must be as many. */
static inline protoo_text protoo_after(protoo_text text, uint32_t bytes) {
	return (protoo_text){text.bytes + bytes, text.size - bytes};
}

/* protoo_cut splits a text at the first separator. Without one, before is all of it and after is empty. */
static inline void protoo_cut(protoo_text text, char separator, protoo_text *before, protoo_text *after) {
	uint32_t i = 0;
	while (i < text.size && text.bytes[i] != separator)
		i++;
	*before = (protoo_text){text.bytes, i};
	*after = i < text.size ? protoo_after(text, i + 1) : (protoo_text){"", 0};
}

/* protoo_limit cuts a text off so that it has at most so many bytes and no half characters. */
static inline protoo_text protoo_limit(protoo_text text, uint32_t most) {
	if (text.size <= most)
		return text;
	while (most > 0 && ((unsigned char)text.bytes[most] & 0xc0) == 0x80)
		most--;
	return (protoo_text){text.bytes, most};
}

/* PROTOO_JOIN joins texts. */
#define PROTOO_JOIN(...) \
	protoo_join((const protoo_text[]){__VA_ARGS__}, sizeof((const protoo_text[]){__VA_ARGS__}) / sizeof(protoo_text))

static inline protoo_text protoo_join(const protoo_text *parts, size_t count) {
	uint64_t size = 0;
	for (size_t i = 0; i < count; i++)
		size += parts[i].size;
	if (size > INT32_MAX)
		__builtin_trap();
	char *all = protoo_alloc((uint32_t)size), *at = all;
	for (size_t i = 0; i < count; i++) {
		__builtin_memcpy(at, parts[i].bytes, parts[i].size);
		at += parts[i].size;
	}
	return (protoo_text){all, (uint32_t)size};
}

/* protoo_decimal writes a number in decimal. */
static inline protoo_text protoo_decimal(int64_t number) {
	char *all = protoo_alloc(24), *at = all + 24;
	uint64_t rest = number < 0 ? -(uint64_t)number : (uint64_t)number;
	do
		*--at = (char)('0' + rest % 10);
	while (rest /= 10);
	if (number < 0)
		*--at = '-';
	return (protoo_text){at, (uint32_t)(all + 24 - at)};
}

/* ---- Reading: what the event says. ---- */

static inline uint32_t protoo_load(const unsigned char *at, uint32_t bytes) {
	uint32_t number = 0;
	__builtin_memcpy(&number, at, bytes);
	return number;
}

/* protoo_find looks for a pushed field. It returns the value, and the key if wanted. With key NULL in match, any key will do. */
static inline protoo_text protoo_find(protoo_field field, protoo_text match, protoo_text *key) {
	const unsigned char *at = protoo_memory.buffer + 16;
	for (uint32_t left = protoo_load(protoo_memory.buffer + 6, 2); left > 0; left--) {
		protoo_text name = {(const char *)at + 8, protoo_load(at + 2, 2)};
		uint32_t size = protoo_load(at + 4, 4);
		if (protoo_load(at, 2) == (uint32_t)field && (!match.bytes || protoo_equal(name, match))) {
			if (key)
				*key = name;
			return (protoo_text){name.bytes + name.size, size};
		}
		at += 8 + ((name.size + size + 3) & ~3u);
	}
	return (protoo_text){NULL, 0};
}

/* protoo_get_key returns the value of a field that has a key: pushed, or else from the host. bytes is NULL if there is none. */
static inline protoo_text protoo_get_key(protoo_field field, protoo_text key) {
	protoo_text value = protoo_find(field, key, NULL);
	if (value.bytes)
		return value;
	for (uint32_t room = 256;;) {
		unsigned char *out = protoo_alloc(room);
		int32_t size = protoo_host_get(field, key.bytes, key.size, out, room);
		if (size < 0)
			return (protoo_text){NULL, 0};
		if ((uint32_t)size <= room)
			return (protoo_text){(const char *)out, (uint32_t)size};
		room = (uint32_t)size;
	}
}

/* protoo_get returns the value of a field without a key. */
static inline protoo_text protoo_get(protoo_field field) { return protoo_get_key(field, PROTOO_TEXT("")); }

/* protoo_get_number returns the value of a field that is a number of 4 bytes, 0 if there is none. */
static inline uint32_t protoo_get_number(protoo_field field) {
	protoo_text value = protoo_get(field);
	return value.size == 4 ? protoo_load((const unsigned char *)value.bytes, 4) : 0;
}

/* protoo_username returns the user's name of the peer that the event is about. */
static inline protoo_text protoo_username(void) {
	protoo_text key;
	if (protoo_find(PROTOO_FIELD_PEER, (protoo_text){NULL, 0}, &key).bytes)
		return key;
	return protoo_get_key(PROTOO_FIELD_PEER, PROTOO_TEXT("username"));
}

/* protoo_uuid says which of the user's devices it is. */
static inline protoo_text protoo_uuid(void) {
	protoo_text uuid = protoo_find(PROTOO_FIELD_PEER, (protoo_text){NULL, 0}, NULL);
	return uuid.bytes ? uuid : protoo_get_key(PROTOO_FIELD_PEER, PROTOO_TEXT("uuid"));
}

/* protoo_token names the request or connection that the event is about. */
static inline uint64_t protoo_token(void) {
	uint64_t token;
	__builtin_memcpy(&token, protoo_memory.buffer + 8, 8);
	return token;
}

/* protoo_correlation returns what the module has given to the message or timer. */
static inline uint64_t protoo_correlation(void) {
	protoo_text value = protoo_find(PROTOO_FIELD_CORRELATION, (protoo_text){NULL, 0}, NULL);
	uint64_t number = 0;
	if (value.size == 8)
		__builtin_memcpy(&number, value.bytes, 8);
	return number;
}

/* ---- Writing: the fields that are put go into the next result, or to the next host function that takes a frame. ---- */

/* protoo_put_key adds a field that has a key. A reason or error is cut off after 1,024 bytes, which is all that the host takes.
 * The module traps if the frame becomes larger than the buffer. */
static inline void protoo_put_key(protoo_field field, protoo_text key, protoo_text value) {
	if (field == PROTOO_FIELD_REASON || field == PROTOO_FIELD_ERROR)
		value = protoo_limit(value, 1024);
	uint64_t size = 8 + (((uint64_t)key.size + value.size + 3) & ~(uint64_t)3);
	if (key.size > UINT16_MAX || protoo_memory.written + size > protoo_memory.size)
		__builtin_trap();
	unsigned char *at = protoo_memory.frame + protoo_memory.written;
	uint32_t head[2] = {(uint32_t)field | key.size << 16, value.size};
	__builtin_memset(at + size - 4, 0, 4); /* the padding is in the last 4 bytes */
	__builtin_memcpy(at, head, 8);
	__builtin_memcpy(at + 8, key.bytes, key.size);
	__builtin_memcpy(at + 8 + key.size, value.bytes, value.size);
	protoo_memory.written += (uint32_t)size;
	protoo_memory.fields++;
}

/* protoo_put adds a field without a key. */
static inline void protoo_put(protoo_field field, protoo_text value) { protoo_put_key(field, PROTOO_TEXT(""), value); }

/* protoo_put_number adds a field that is a number of 4 bytes. */
static inline void protoo_put_number(protoo_field field, uint32_t number) {
	protoo_put(field, (protoo_text){(const char *)&number, 4});
}

/* protoo_put_correlation adds a number that comes back with the answers to a message. */
static inline void protoo_put_correlation(uint64_t number) {
	protoo_put(PROTOO_FIELD_CORRELATION, (protoo_text){(const char *)&number, 8});
}

/* protoo_take completes the frame and begins another one. It returns the length, 0 if nothing was put. */
static inline uint32_t protoo_take(void) {
	uint32_t length = protoo_memory.fields ? protoo_memory.written : 0;
	uint32_t head[4] = {length, 1 | protoo_memory.fields << 16, 0, 0};
	__builtin_memcpy(protoo_memory.frame, head, 16);
	protoo_memory.written = 16;
	protoo_memory.fields = 0;
	return length;
}

/* ---- Results. ---- */

/* protoo_end makes a result of an action, flags, and what was put. */
static inline protoo_result protoo_end(protoo_action action, uint32_t flags) {
	uint32_t length = protoo_take();
	__builtin_memcpy(protoo_memory.buffer, protoo_memory.frame, length);
	return (protoo_result)((uint64_t)length << 32 | flags << 8 | action);
}

/* protoo_next passes the request on as it is. */
static inline protoo_result protoo_next(void) { return PROTOO_ACTION_NEXT; }

/* protoo_pending keeps the request. It needs the capability async. */
static inline protoo_result protoo_pending(void) { return PROTOO_ACTION_PENDING; }

/* protoo_reply answers the request with a status, a reason and the data that was put, if any. */
static inline protoo_result protoo_reply(uint32_t status, protoo_text reason) {
	protoo_put_number(PROTOO_FIELD_STATUS, status);
	protoo_put(PROTOO_FIELD_REASON, reason);
	return protoo_end(PROTOO_ACTION_REPLY, 0);
}

/* protoo_error fails the request, or refuses the connection, with a status and a reason that the peer sees. */
static inline protoo_result protoo_error(uint32_t status, protoo_text reason) {
	protoo_put_number(PROTOO_FIELD_STATUS, status);
	protoo_put(PROTOO_FIELD_REASON, reason);
	return protoo_end(PROTOO_ACTION_ERROR, 0);
}

/* protoo_fail fails the request with an error whose text peers see only in development. */
static inline protoo_result protoo_fail(protoo_text error) {
	protoo_put(PROTOO_FIELD_ERROR, error);
	return protoo_end(PROTOO_ACTION_ERROR, 0);
}

/* ---- What else the host can do. Each function names the capability that it needs. ---- */

/* protoo_progress sends a provisional response, with the data that was put. */
static inline int32_t protoo_progress(uint32_t status, protoo_text reason) {
	protoo_put_number(PROTOO_FIELD_STATUS, status);
	protoo_put(PROTOO_FIELD_REASON, reason);
	uint32_t length = protoo_take();
	return protoo_host_progress(protoo_memory.frame, length);
}

/* protoo_log writes a line to the server's log: log. */
static inline void protoo_log(protoo_log_level level, protoo_text text) { protoo_host_log(level, text.bytes, text.size); }

/* protoo_peers counts the peers that are online, where an empty text stands for any: peer.read. */
static inline int32_t protoo_peers(protoo_text username, protoo_text uuid) {
	return protoo_host_peer_find(username.bytes, username.size, uuid.bytes, uuid.size);
}

/* protoo_send sends a peer a request, with the data, correlation, carry and so on that were put: peer.send. It returns 0 or
 * a negative code, and the answers come as the event reply if there is the capability async. */
static inline int32_t protoo_send(protoo_text username, protoo_text uuid, protoo_text method, protoo_text path) {
	protoo_put_key(PROTOO_FIELD_PEER, username, uuid);
	protoo_put(PROTOO_FIELD_METHOD, method);
	protoo_put(PROTOO_FIELD_PATH, path);
	uint32_t length = protoo_take();
	return protoo_host_peer_send(protoo_memory.frame, length);
}

/* protoo_disconnect closes the connection of a peer: peer.send. */
static inline int32_t protoo_disconnect(protoo_text username, protoo_text uuid, uint32_t code, protoo_text reason) {
	protoo_put_key(PROTOO_FIELD_PEER, username, uuid);
	protoo_put_number(PROTOO_FIELD_STATUS, code);
	protoo_put(PROTOO_FIELD_REASON, reason);
	uint32_t length = protoo_take();
	return protoo_host_peer_close(protoo_memory.frame, length);
}

/* protoo_complete ends what is pending under another event's token, with what was put: async. */
static inline int32_t protoo_complete(uint64_t token, protoo_action action) {
	uint32_t length = protoo_take();
	return protoo_host_complete(token, action, protoo_memory.frame, length);
}

/* protoo_timer asks for the event timer: async. */
static inline int32_t protoo_timer(int64_t milliseconds, uint64_t correlation, protoo_text carry) {
	return protoo_host_timer(milliseconds, correlation, carry.bytes, carry.size);
}

/* protoo_add adds to a number in the store and returns 0 or a negative code: kv. The ttl is in milliseconds. */
static inline int32_t protoo_add(protoo_text key, int64_t delta, int64_t ttl, int64_t *sum) {
	return protoo_host_kv_add(key.bytes, key.size, delta, ttl, sum);
}

/* protoo_load_key returns a value of the store: kv. bytes is NULL if there is none. Values have at most 4,096 bytes. */
static inline protoo_text protoo_load_key(protoo_text key) {
	char *out = protoo_alloc(4096);
	int32_t size = protoo_host_kv_get(key.bytes, key.size, out, 4096);
	return size < 0 ? (protoo_text){NULL, 0} : (protoo_text){out, (uint32_t)size};
}

/* protoo_swap stores a value if the present one is old: 1 if it was, 0 if not, or a negative code: kv. A text with NULL bytes stands
 * for no value. */
static inline int32_t protoo_swap(protoo_text key, protoo_text old, protoo_text value, int64_t ttl) {
	return protoo_host_kv_cas(key.bytes, key.size, old.bytes, old.bytes ? (int32_t)old.size : -1, value.bytes,
		value.bytes ? (int32_t)value.size : -1, ttl);
}

/* ---- Exports. ---- */

__attribute__((export_name("protoo_abi_v1"))) void protoo_abi_v1(void) {}

__attribute__((export_name("protoo_init"))) uint64_t protoo_init(uint32_t flags) {
	(void)flags;
	return protoo_reserve(0);
}

__attribute__((export_name("protoo_buffer"))) uint64_t protoo_buffer(uint32_t need) { return protoo_reserve(need); }

__attribute__((export_name("protoo_on"))) protoo_result protoo_on(uint32_t event, uint32_t length) {
	(void)length; /* the frame says how long it is */
	protoo_reset();
	return protoo_handle((protoo_event)event);
}

#endif

// The library for protoo modules in AssemblyScript. ABI.md says what the numbers and fields mean.
//
// A module says which function deals with events, and exports what the host calls. Its manifest is the file of the same name
// that ends in .json, which manifest.mjs puts into the module:
//
//	import { Event, Field, Outcome, serve } from "./protoo";
//	export { protoo_abi_v1, protoo_init, protoo_buffer, protoo_on } from "./protoo";
//
//	serve((event: Event): Outcome => {
//		if (event.get(Field.Param, "room") == "staff") return Outcome.error(403, "staff only");
//		return Outcome.next();
//	});
//
// It is compiled with --runtime minimal: garbage is collected between events.

export enum Kind {
	SelfTest,
	Request,
	Response,
	Notification,
	Reply,
	Timer,
	Online,
	Offline,
	Configuration,
	Drain,
	Connect,
	Returned,
}

export enum Field {
	Method = 1,
	Path,
	Base,
	Param,
	Data,
	Sender,
	Peer,
	PeerData,
	Property,
	Status,
	Reason,
	Error,
	Carry,
	Correlation,
	DeleteProperty,
	Query,
	Header,
	Origin,
	Remote,
	Transport,
	Secure,
	Timeout,
	Id,
	Ended,
}

enum Action {
	Next,
	SkipRoute,
	Reply,
	Error,
	Pending,
	SkipRouter,
}

const WATCH: u32 = 1;
const CHANGES: u32 = 2;
const RETURNED: u32 = 4;

/** What host functions return when they do not do what they were asked for. */
export const ABSENT = -1;
export const LIMIT = -2;
export const INVALID = -3;

// @ts-ignore: decorator
@external("protoo_v1", "get")
declare function host_get(field: u32, key: usize, keySize: usize, out: usize, room: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "config")
declare function host_config(out: usize, room: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "progress")
declare function host_progress(frame: usize, size: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "log")
declare function host_log(level: u32, text: usize, size: usize): void;
// @ts-ignore: decorator
@external("protoo_v1", "clock")
declare function host_clock(which: u32): i64;
// @ts-ignore: decorator
@external("protoo_v1", "peer_find")
declare function host_peer_find(username: usize, usernameSize: usize, uuid: usize, uuidSize: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "peer_send")
declare function host_peer_send(frame: usize, size: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "peer_close")
declare function host_peer_close(frame: usize, size: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "complete")
declare function host_complete(token: u64, action: u32, frame: usize, size: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "timer")
declare function host_timer(milliseconds: i64, correlation: u64, carry: usize, carrySize: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "kv_get")
declare function host_kv_get(key: usize, keySize: usize, out: usize, room: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "kv_cas")
declare function host_kv_cas(key: usize, keySize: usize, old: usize, oldSize: i32, value: usize, valueSize: i32, ttl: i64): i32;
// @ts-ignore: decorator
@external("protoo_v1", "kv_add")
declare function host_kv_add(key: usize, keySize: usize, delta: i64, ttl: i64, sum: usize): i32;
// @ts-ignore: decorator
@external("protoo_v1", "metric")
declare function host_metric(name: usize, size: usize, kind: u32, value: i64): i32;

/** Encodes a string. Half a character in it becomes a replacement character. */
export function utf8(text: string): ArrayBuffer {
	return String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE);
}

/** Joins bytes. To turn what is long into a string and back takes much of an event's fuel. */
export function join(parts: ArrayBuffer[]): ArrayBuffer {
	let size = 0;
	for (let i = 0; i < parts.length; i++) size += parts[i].byteLength;
	const all = new ArrayBuffer(size);
	let at = address(all);
	for (let i = 0; i < parts.length; i++) {
		memory.copy(at, address(parts[i]), parts[i].byteLength);
		at += parts[i].byteLength;
	}
	return all;
}

function address(buffer: ArrayBuffer): usize {
	return changetype<usize>(buffer);
}

// ---- The host's buffer. ----

const SMALL: u32 = 32 << 10;
const LARGE: u32 = 256 << 10;

let buffer = new ArrayBuffer(0);

/** The buffer is small at first. When that is not enough, it becomes as large as a frame can be where the operator has not changed
 * that, so that there is room for an answer that is longer than the question. */
function reserve(need: u32): u64 {
	const size = need <= SMALL ? SMALL : max(need, LARGE);
	buffer = new ArrayBuffer(size);
	return ((address(buffer) as u64) << 32) | size;
}

// ---- Reading. ----

// What find has found.
let key: usize;
let keySize: u32;
let value: usize;
let valueSize: u32;

/** Looks for a pushed field. Without a name, any key will do. */
function find(field: Field, name: ArrayBuffer | null): bool {
	let at = address(buffer) + 16;
	for (let left = load<u16>(address(buffer), 6); left > 0; left--) {
		keySize = load<u16>(at, 2);
		valueSize = load<u32>(at, 4);
		key = at + 8;
		value = key + keySize;
		if (load<u16>(at) == field) {
			if (name === null) return true;
			if (keySize == name.byteLength && memory.compare(key, address(name), keySize) == 0) return true;
		}
		at += 8 + ((keySize + valueSize + 3) & ~3);
	}
	return false;
}

/** A field from the host, null if there is none. */
function ask(field: Field, name: ArrayBuffer): ArrayBuffer | null {
	let out = new ArrayBuffer(256);
	let size = host_get(field, address(name), name.byteLength, address(out), out.byteLength);
	if (size > out.byteLength) {
		out = new ArrayBuffer(size);
		size = host_get(field, address(name), name.byteLength, address(out), size);
	}
	return size < 0 ? null : out.slice(0, size);
}

/** What the module is told of. Fields that the manifest does not list are asked of the host. */
export class Event {
	constructor(readonly kind: Kind) {}

	/** Names the request or connection that the event is about. */
	get token(): u64 {
		return load<u64>(address(buffer), 8);
	}

	/** The value of a field, "" if there is none. */
	get(field: Field, key: string = ""): string {
		const name = utf8(key);
		if (find(field, name)) return String.UTF8.decodeUnsafe(value, valueSize);
		const answer = ask(field, name);
		return answer === null ? "" : String.UTF8.decode(answer);
	}

	/** The bytes of a field, none if there is none: what is only passed on need not become a string. */
	bytes(field: Field, key: string = ""): ArrayBuffer {
		const name = utf8(key);
		if (!find(field, name)) {
			const answer = ask(field, name);
			return answer === null ? new ArrayBuffer(0) : answer;
		}
		const copy = new ArrayBuffer(valueSize);
		memory.copy(address(copy), value, valueSize);
		return copy;
	}

	/** The value of a field that is a number of 4 bytes, 0 if there is none. */
	number(field: Field): u32 {
		const bytes = this.bytes(field);
		return bytes.byteLength == 4 ? load<u32>(address(bytes)) : 0;
	}

	/** What the module has given to the message or timer that the event follows from. */
	get correlation(): u64 {
		return find(Field.Correlation, null) && valueSize == 8 ? load<u64>(value) : 0;
	}

	/** The user's name of the peer that the event is about. */
	get username(): string {
		if (find(Field.Peer, null)) return String.UTF8.decodeUnsafe(key, keySize);
		return this.get(Field.Peer, "username");
	}

	/** Which of the user's devices it is. */
	get uuid(): string {
		if (find(Field.Peer, null)) return String.UTF8.decodeUnsafe(value, valueSize);
		return this.get(Field.Peer, "uuid");
	}
}

// ---- Writing. ----

const empty = new ArrayBuffer(0);

/** A frame for the host. */
class Frame {
	private bytes: ArrayBuffer = empty;
	private size: u32 = 16;
	private fields: u16 = 0;

	/** Adds a field and returns where its value belongs. */
	private add(field: Field, key: string, valueSize: u32): usize {
		const name = utf8(key);
		assert(name.byteLength <= <i32>u16.MAX_VALUE);
		const size = 8 + ((<u32>name.byteLength + valueSize + 3) & ~3);
		if (this.size + size > <u32>this.bytes.byteLength) {
			const larger = new ArrayBuffer(max(max(2 * <u32>this.bytes.byteLength, this.size + size), 128));
			memory.copy(address(larger), address(this.bytes), this.bytes.byteLength);
			this.bytes = larger;
		}
		const at = address(this.bytes) + this.size;
		store<u16>(at, <u16>field);
		store<u16>(at, <u16>name.byteLength, 2);
		store<u32>(at, valueSize, 4);
		memory.copy(at + 8, address(name), name.byteLength);
		this.size += size;
		this.fields++;
		return at + 8 + name.byteLength;
	}

	putBytes(field: Field, value: ArrayBuffer, size: u32 = value.byteLength): void {
		memory.copy(this.add(field, "", size), address(value), size);
	}

	put(field: Field, key: string, value: string): void {
		const size = String.UTF8.byteLength(value);
		const at = this.add(field, key, size);
		String.UTF8.encodeUnsafe(changetype<usize>(value), value.length, at, false, String.UTF8.ErrorMode.REPLACE);
	}

	/** Cuts the reason off after 1,024 bytes: that is all that the host takes. */
	putReason(field: Field, reason: string): void {
		const bytes = utf8(reason);
		let end = min(bytes.byteLength, 1024);
		if (end < bytes.byteLength) while (end > 0 && (load<u8>(address(bytes) + end) & 0xc0) == 0x80) end--;
		this.putBytes(field, bytes, end);
	}

	putNumber(field: Field, number: u32): void {
		store<u32>(this.add(field, "", 4), number);
	}

	putLong(field: Field, number: u64): void {
		store<u64>(this.add(field, "", 8), number);
	}

	/** Completes the frame and returns its length, 0 if nothing was put. */
	finish(): u32 {
		if (this.fields == 0) return 0;
		store<u32>(this.address, this.size);
		store<u16>(this.address, 1, 4);
		store<u16>(this.address, this.fields, 6);
		return this.size;
	}

	get address(): usize {
		return address(this.bytes);
	}
}

/** What is to be done with an event. */
export class Outcome {
	private flags: u32 = 0;
	private frame: Frame = new Frame();

	private constructor(private action: Action) {}

	/** Passes the request on. */
	static next(): Outcome {
		return new Outcome(Action.Next);
	}

	/** Passes the request on behind the route that the module is in. */
	static skipRoute(): Outcome {
		return new Outcome(Action.SkipRoute);
	}

	/** Passes the request on behind the router that the module is in. */
	static skipRouter(): Outcome {
		return new Outcome(Action.SkipRouter);
	}

	/** Answers the request. */
	static reply(status: u32, reason: string): Outcome {
		return new Outcome(Action.Reply).status(status, reason);
	}

	/** Accepts the connection, and says who it is. */
	static accept(username: string, uuid: string): Outcome {
		const outcome = new Outcome(Action.Reply);
		outcome.frame.put(Field.Peer, username, uuid);
		return outcome;
	}

	/** Fails the request, or refuses the connection, with a reason that the peer sees. */
	static error(status: u32, reason: string): Outcome {
		return new Outcome(Action.Error).status(status, reason);
	}

	/** Fails the request with an error whose text peers see only in development. */
	static fail(error: string): Outcome {
		const outcome = new Outcome(Action.Error);
		outcome.frame.putReason(Field.Error, error);
		return outcome;
	}

	/** Keeps the request. It needs the capability async. */
	static pending(): Outcome {
		return new Outcome(Action.Pending);
	}

	private status(status: u32, reason: string): Outcome {
		this.frame.putNumber(Field.Status, status);
		this.frame.putReason(Field.Reason, reason);
		return this;
	}

	/** Tells the module of every response to the request. */
	watch(): Outcome {
		this.flags |= WATCH;
		return this;
	}

	/** Tells the module when the handlers behind it have returned. */
	returned(): Outcome {
		this.flags |= RETURNED;
		return this;
	}

	/** Gives the module something that comes back with the events that follow from this one, at most 4,096 bytes. */
	carry(carry: ArrayBuffer): Outcome {
		this.frame.putBytes(Field.Carry, carry);
		return this;
	}

	/** Sets the data, JSON, of a reply, or changes that of the request or response. */
	data(json: string): Outcome {
		return this.change(Field.Data, "", json);
	}

	/** Is data for what is UTF-8 already. */
	dataBytes(json: ArrayBuffer): Outcome {
		this.frame.putBytes(Field.Data, json);
		return this.changed();
	}

	/** Changes the request's path. */
	path(path: string): Outcome {
		return this.change(Field.Path, "", path);
	}

	/** Changes the request's sender, a JSON object. */
	sender(json: string): Outcome {
		return this.change(Field.Sender, "", json);
	}

	/** Stores a JSON value in the request. */
	property(name: string, json: string): Outcome {
		return this.change(Field.Property, name, json);
	}

	/** Deletes what is stored in the request. */
	deleteProperty(name: string): Outcome {
		return this.change(Field.DeleteProperty, name, "");
	}

	/** Stores a JSON value in the peer; "" deletes it. */
	peerData(name: string, json: string): Outcome {
		return this.change(Field.PeerData, name, json);
	}

	private change(field: Field, key: string, value: string): Outcome {
		this.frame.put(field, key, value);
		return this.changed();
	}

	private changed(): Outcome {
		if (this.action != Action.Reply && this.action != Action.Error) this.flags |= CHANGES;
		return this;
	}

	/** Ends what is pending under another event's token, and returns 0 or a negative code. It needs the capability async. */
	complete(token: u64): i32 {
		const size = this.frame.finish();
		return host_complete(token, this.action, this.frame.address, size);
	}

	/** Tells the host. */
	finish(): u64 {
		const size = this.frame.finish();
		assert(size <= <u32>buffer.byteLength);
		memory.copy(address(buffer), this.frame.address, size);
		return ((size as u64) << 32) | (this.flags << 8) | this.action;
	}
}

/** A request to a peer, where an empty uuid stands for one of the user's devices. It needs the capability peer.send. To hear of the answers, as
 * events of the kind Reply, the module needs async. */
export class Message {
	private frame: Frame = new Frame();

	constructor(username: string, uuid: string, method: string, path: string) {
		this.frame.put(Field.Peer, username, uuid);
		this.frame.put(Field.Method, "", method);
		this.frame.put(Field.Path, "", path);
	}

	/** Sets the data, JSON in UTF-8. No bytes are no data. */
	data(json: ArrayBuffer): Message {
		if (json.byteLength > 0) this.frame.putBytes(Field.Data, json);
		return this;
	}

	/** Sets who the request is from, a JSON object. */
	sender(json: string): Message {
		this.frame.put(Field.Sender, "", json);
		return this;
	}

	/** Limits the time that the peer has for its answer. */
	timeout(milliseconds: u32): Message {
		this.frame.putNumber(Field.Timeout, milliseconds);
		return this;
	}

	/** Sets a number that comes back with the answers. */
	correlation(number: u64): Message {
		this.frame.putLong(Field.Correlation, number);
		return this;
	}

	/** Sets what comes back with the answers, at most 4,096 bytes. */
	carry(carry: ArrayBuffer): Message {
		this.frame.putBytes(Field.Carry, carry);
		return this;
	}

	/** Sends the message when the event is over, and returns 0 or a negative code. */
	send(): i32 {
		const size = this.frame.finish();
		return host_peer_send(this.frame.address, size);
	}
}

// ---- What else the host can do. Each function names the capability that it needs. ----

/** Sends a provisional response to the request that the event is about, with a status of 100 to 199. */
export function progress(status: u32, reason: string): i32 {
	const frame = new Frame();
	frame.putNumber(Field.Status, status);
	frame.putReason(Field.Reason, reason);
	const size = frame.finish();
	return host_progress(frame.address, size);
}

/** Disconnects a peer when the event is over: peer.send. */
export function disconnect(username: string, uuid: string, code: u32, reason: string): i32 {
	const frame = new Frame();
	frame.put(Field.Peer, username, uuid);
	frame.putNumber(Field.Status, code);
	frame.putReason(Field.Reason, reason);
	const size = frame.finish();
	return host_peer_close(frame.address, size);
}

/** The operator's settings, JSON, "" if there are none. */
export function config(): string {
	let out = new ArrayBuffer(256);
	let size = host_config(address(out), out.byteLength);
	if (size > out.byteLength) {
		out = new ArrayBuffer(size);
		size = host_config(address(out), size);
	}
	return size < 0 ? "" : String.UTF8.decodeUnsafe(address(out), size);
}

export enum Level {
	Debug,
	Info,
	Warning,
	Error,
}

/** Writes a line to the log of the server: log. */
export function log(level: Level, text: string): void {
	const bytes = utf8(text);
	host_log(level, address(bytes), bytes.byteLength);
}

/** Nanoseconds since 1970: clock. */
export function now(): i64 {
	return host_clock(0);
}

/** Counts the peers that are online, where "" stands for any: peer.read. */
export function peers(username: string, uuid: string): i32 {
	const u = utf8(username);
	const d = utf8(uuid);
	return host_peer_find(address(u), u.byteLength, address(d), d.byteLength);
}

/** Asks for an event of the kind Timer: async. */
export function timer(milliseconds: i64, correlation: u64, carry: ArrayBuffer): i32 {
	return host_timer(milliseconds, correlation, address(carry), carry.byteLength);
}

/** A value of the store that the module's instances share, null if there is none: kv. */
export function read(key: string): ArrayBuffer | null {
	const name = utf8(key);
	const out = new ArrayBuffer(4096); // no value is larger
	const size = host_kv_get(address(name), name.byteLength, address(out), out.byteLength);
	return size < 0 ? null : out.slice(0, size);
}

/** Stores a value if the present one is old: 1 if it was, 0 if not, or a negative code: kv. null stands for no value. It expires after
 * ttl milliseconds, 0 means never. */
export function swap(key: string, old: ArrayBuffer | null, value: ArrayBuffer | null, ttl: i64): i32 {
	const name = utf8(key);
	return host_kv_cas(
		address(name), name.byteLength,
		changetype<usize>(old), old === null ? -1 : old.byteLength,
		changetype<usize>(value), value === null ? -1 : value.byteLength,
		ttl,
	);
}

/** What add has made of the number. */
export let sum: i64 = 0;

/** Adds to the number that is stored at key, and returns 0 or a negative code: kv. The new number is in sum. A key that is made now expires
 * after ttl milliseconds. */
export function add(key: string, delta: i64, ttl: i64): i32 {
	const name = utf8(key);
	const out = new ArrayBuffer(8);
	const code = host_kv_add(address(name), name.byteLength, delta, ttl, address(out));
	if (code == 0) sum = load<i64>(address(out));
	return code;
}

/** Adds to a counter of the module: metrics. */
export function count(name: string, value: i64): i32 {
	const bytes = utf8(name);
	return host_metric(address(bytes), bytes.byteLength, 0, value);
}

// ---- What the host calls. ----

let handler: (event: Event) => Outcome = (_: Event): Outcome => Outcome.next();

/** Says which function deals with events. */
export function serve(handle: (event: Event) => Outcome): void {
	handler = handle;
}

export function protoo_abi_v1(): void {}

export function protoo_init(_flags: u32): u64 {
	return reserve(0);
}

export function protoo_buffer(need: u32): u64 {
	buffer = new ArrayBuffer(0);
	__collect(); // the old buffer, before the new one comes
	return reserve(need);
}

// Garbage is collected after so many events, or after a frame of so many bytes.
const EVENTS: u32 = 32;
const BYTES: u32 = 4 << 10;

let events: u32 = 0;

export function protoo_on(kind: u32, length: u32): u64 {
	const result = handler(new Event(kind)).finish();
	if (++events == EVENTS || length > BYTES || result >> 32 > BYTES) {
		events = 0;
		__collect();
	}
	return result;
}

/** Stands in for the host's function of this name, which reports errors. */
export function abort(_message: string | null, _file: string | null, _line: u32, _column: u32): void {
	unreachable();
}

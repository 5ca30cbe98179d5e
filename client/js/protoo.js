// The protoo client for browsers and Node. README.md is the guide, protoo.d.ts the reference.

const NO_STATUS = 1005, ABNORMAL = 1006, RESTART = 1012, TRY_LATER = 1013, REPLACED = 3000, EXPIRED = 4401;
const FINAL_CODES = new Set([1000, 1008, REPLACED, EXPIRED, 4403]);
const MAX_CLOSE_REASON = 123;
const MAX_HINT = 60_000;
const HEAD_START = 500; // of WebTransport before WebSocket, or the other way round
const REMEMBERED_FOR = 10 * 60_000;
const CONTESTED_FOR = 3000;
const GOODBYE = 1000; // for the other side to end a session
const DRAIN = 10_000; // for what was sent before to leave
const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;
const MAX_CONTROL = 125;
const MAX_DATAGRAM = 1150, MAX_DATAGRAM_MESSAGE = MAX_DATAGRAM - 3, MAX_POST = 32;
const MAX_HANDLERS_RUNNING = 1000;
const MAX_TIMER = 2 ** 31 - 1; // setTimeout fires at once for anything longer

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class ProtooError extends Error {
  constructor(status, reason = '', data) {
    if (!(Number.isInteger(status) && status >= 300 && status < 700)) {
      throw new RangeError(`protoo: status ${status} is no rejection, expected 300-699`);
    }
    super(`${status} ${reason}`);
    this.name = 'ProtooError';
    this.status = status;
    this.reason = reason;
    this.data = data;
    this.local = false;
  }
}

const localError = (status, reason, data) =>
  Object.assign(new ProtooError(status, reason, data), { local: true });

export const connect = (url, options) => new Peer(url, options);

class Peer extends EventTarget {
  #url;
  #options;
  #transports;
  #transport = 0; // moves on when a connection could not be opened
  #connection;
  #epoch = 0; // events of a connection from an earlier epoch are stale
  #timer; // of the connection being opened, or of the wait before the next
  #attempt = 0; // exponent of the backoff
  #openedAt;
  #contested = false; // a transport that was given up may have reached the server
  #wasOpen = false;
  #ready = {};
  #gone = new AbortController();
  #handlers = new Set();
  #running = new Set(); // an AbortController for each request a handler works on
  #pending = new Map(); // request id → { onProvisional, resolve, reject }
  #queue = new Set(); // what waits for a connection, in order
  #queuedBytes = 0;
  #idPrefix = Math.random().toString(36).slice(2, 12) + '-';
  #idCount = 0;

  constructor(url, {
    WebSocket = globalThis.WebSocket, WebTransport = globalThis.WebTransport, transport = 'auto', transports,
    reconnect = {}, connectTimeout = 10_000, maxMessage = 65_536, maxQueued = 1000, maxQueuedBytes = 1 << 20,
    signal, ...options
  } = {}) {
    super();
    signal?.throwIfAborted();
    this.#url = new URL(url, globalThis.location?.href);
    this.#transports = transports ?? [chooseTransport(transport, WebSocket, WebTransport)];
    this.#options = {
      ...options, WebSocket, WebTransport, connectTimeout, maxMessage, maxQueued, maxQueuedBytes,
      reconnect: reconnect && { base: 500, cap: 30_000, stable: 5_000, ...reconnect },
    };
    this.ready = new Promise((resolve, reject) => { this.#ready = { resolve, reject }; });
    this.ready.catch(() => {}); // nobody has to look at it
    signal?.addEventListener('abort', () => this.close(), { signal: this.#gone.signal });
    this.#open();
  }

  get username() { return this.#options.username; }
  get uuid() { return this.#options.uuid; }

  get state() {
    if (this.#gone.signal.aborted) return 'closed';
    return this.#connection?.readyState === 1 ? 'open' : 'connecting';
  }

  get transport() {
    return this.state === 'open' ? this.#connection.transport : undefined;
  }

  get bufferedAmount() {
    return this.#queuedBytes + (this.#connection?.bufferedAmount ?? 0);
  }

  request(method, path, data, options = {}) {
    const { timeout = method === 'session' ? 120_000 : 10_000, signal, onProvisional } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (!(timeout > 0)) throw new RangeError(`protoo: timeout ${timeout}, expected milliseconds above 0`);
      const id = this.#newId();
      const item = this.#encode({ method, path, id, data });
      const refusal = this.#refusal(item);
      if (refusal) throw refusal;

      const end = (settle, value) => {
        this.#pending.delete(id);
        this.#unqueue(item);
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        settle(value);
      };
      const onAbort = () => end(reject, signal.reason);
      const onTimeout = () => end(reject, localError(408, 'sending timeout'));
      const timer = timeout <= MAX_TIMER ? setTimeout(onTimeout, timeout) : undefined;
      signal?.addEventListener('abort', onAbort);
      this.#pending.set(id, {
        onProvisional,
        resolve: (response) => end(resolve, response),
        reject: (error) => end(reject, error),
      });
      this.#send(item);
    });
  }

  datagram(method, path, data) {
    const item = this.#encode({ method, path, id: this.#newId(), data });
    if (item.size > MAX_DATAGRAM_MESSAGE) {
      throw localError(413, `message of ${item.size} bytes, limit ${MAX_DATAGRAM_MESSAGE} in a datagram`);
    }
    if (this.state !== 'open' || this.#refusal(item)) return false;
    const connection = this.#connection;
    if (connection.sendDatagram) connection.sendDatagram(item.text);
    else connection.send(item.text);
    this.#emit('send', { text: item.text });
    return true;
  }

  handle(method, path, fn, { signal } = {}) {
    const handler = { method, segments: parsePattern(path), fn };
    const remove = () => void this.#handlers.delete(handler);
    if (!signal?.aborted) this.#handlers.add(handler);
    signal?.addEventListener('abort', remove);
    return remove;
  }

  close(code = 1000, reason = 'normal closure') {
    if (code !== 1000 && !(code >= 3000 && code < 5000)) {
      throw new RangeError(`protoo: close code ${code}, expected 1000 or 3000-4999`);
    }
    if (encoder.encode(reason).length > MAX_CLOSE_REASON) {
      throw new RangeError(`protoo: close reason of more than ${MAX_CLOSE_REASON} bytes`);
    }
    if (this.state === 'closed') return;
    this.#connection?.close(code, reason);
    this.#end(code, reason);
  }

  async #open() {
    const epoch = ++this.#epoch;
    const current = (fn) => (event) => { if (epoch === this.#epoch) fn(event); };
    let cause;
    const lost = current(({ code = ABNORMAL, reason }) => this.#lost(code, reason || cause || ''));
    this.#timer = setTimeout(lost, this.#options.connectTimeout, { reason: 'connect timeout' });
    try {
      const url = new URL(this.#url);
      const { username, uuid, token, serverCertificateHashes } = this.#options;
      const [fresh, hashes] = await Promise.all([ask(token), ask(serverCertificateHashes)]);
      if (epoch !== this.#epoch) return;
      const query = { username, uuid, token: fresh };
      for (const name in query) if (query[name] != null) url.searchParams.set(name, query[name]);

      const transport = this.#transports[this.#transport % this.#transports.length];
      const connection = this.#connection = transport(url, { ...this.#options, serverCertificateHashes: hashes });
      connection.onopen = current(({ winner = connection, contested }) => {
        this.#connection = winner;
        this.#contested = contested;
        this.#opened();
      });
      connection.onmessage = current((event) => this.#receive(String(event.data)));
      connection.onclose = lost;
      // A close event follows at once and knows the code, except in Node 20, which sends none.
      connection.onerror = ({ message }) => {
        cause = message;
        setTimeout(lost, 0, {});
      };
    } catch (error) {
      lost({ reason: error?.message });
    }
  }

  #opened() {
    clearTimeout(this.#timer);
    this.#openedAt = Date.now();
    for (const item of this.#queue) {
      if (this.state !== 'open') return; // a listener closed it
      this.#unqueue(item);
      this.#send(item);
    }
    this.#ready.resolve();
    const type = this.#wasOpen ? 'reconnected' : 'open';
    this.#wasOpen = true;
    this.#emit(type);
  }

  #lost(code, reason) {
    const { reconnect, token } = this.#options;
    // Of two connections the server keeps the one that it has seen last, which may be the one that was given up here.
    const ownDoing = code === REPLACED && this.#contested && Date.now() - this.#openedAt < CONTESTED_FOR;
    this.#abandon()?.close();
    if (!this.#openedAt) this.#transport++;
    // A server that restarts or is overloaded has not served us, however long it took.
    const served = Date.now() - this.#openedAt >= reconnect.stable;
    const patience = code === RESTART || code === TRY_LATER;
    // When the server wants its clients back: "restart; reconnect in 1500 ms".
    const [, hint] = (patience && reason.match(/; reconnect in (0|[1-9]\d{0,4}) ms$/)) || [];
    const hinted = hint <= MAX_HINT;
    if (served && (hinted || !patience)) this.#attempt = 0;
    this.#openedAt = undefined;
    // A token that was good has expired: the next one is fresh.
    const renewable = code === EXPIRED && served && typeof token === 'function';
    if (!reconnect || (FINAL_CODES.has(code) && !ownDoing && !renewable)) return this.#end(code, reason, code === REPLACED);

    let delay = Math.random() * Math.min(reconnect.cap, reconnect.base * 2 ** this.#attempt++);
    // A server that closes each connection at once must not be asked all the time.
    if (hinted) delay = Math.max(hint, served ? 0 : delay);
    this.#timer = setTimeout(() => this.#open(), delay);
    this.#emit('reconnecting', { code, reason, attempt: this.#attempt, delay });
  }

  #abandon() {
    this.#epoch++;
    clearTimeout(this.#timer);
    const connection = this.#connection;
    this.#connection = undefined;
    return connection;
  }

  #end(code, reason, replaced = false) {
    this.#abandon();
    const offline = localError(410, 'peer offline', { code, reason });
    this.#gone.abort(offline);
    this.#ready.reject(offline);
    for (const { reject } of this.#pending.values()) reject(offline);
    for (const controller of this.#running) controller.abort(offline);
    this.#queue.clear();
    this.#queuedBytes = 0;
    if (replaced) this.#emit('replaced', { code, reason });
    this.#emit('close', { code, reason });
  }

  #encode(message) {
    let text;
    try {
      text = JSON.stringify(message);
    } catch (error) {
      throw localError(400, error.message);
    }
    const size = encoder.encode(text).length;
    const { maxMessage } = this.#options;
    if (size > maxMessage) throw localError(413, `message of ${size} bytes, limit ${maxMessage}`);
    return { text, size };
  }

  #refusal({ size }) {
    const { maxQueued, maxQueuedBytes } = this.#options;
    if (this.state === 'closed') return this.#gone.signal.reason;
    if (this.#queue.size >= maxQueued || this.bufferedAmount + size > maxQueuedBytes) {
      return localError(503, 'too much queued');
    }
  }

  #send(item) {
    if (this.state === 'open') {
      this.#connection.send(item.text);
      this.#emit('send', { text: item.text });
    } else {
      this.#queue.add(item);
      this.#queuedBytes += item.size;
    }
  }

  #newId() {
    return this.#idPrefix + ++this.#idCount;
  }

  #unqueue(item) {
    if (this.#queue.delete(item)) this.#queuedBytes -= item.size;
  }

  #receive(text) {
    this.#emit('receive', { text });
    let message, fault;
    try {
      message = JSON.parse(text);
      fault = findFault(message);
    } catch (error) {
      fault = error.message;
    }
    if (fault) this.#emit('badmessage', { text, reason: fault });
    else if ('method' in message) this.#serve(message);
    else this.#answered(message);
  }

  #answered({ status, reason, id, data }) {
    const transaction = this.#pending.get(id);
    if (!transaction) return;
    if (status >= 300) transaction.reject(new ProtooError(status, reason, data));
    else if (status >= 200) transaction.resolve({ status, reason, data });
    else {
      try {
        transaction.onProvisional?.({ status, reason, data });
      } catch (error) {
        this.#report(error);
      }
    }
  }

  async #serve({ method, path, id, data, sender }) {
    const peer = this;
    const controller = new AbortController();
    let ended = false;
    const req = {
      peer, method, path, id, data, sender, params: {}, signal: controller.signal,
      get ended() { return ended; },
      reply(status, reason = '', data) {
        if (!(Number.isInteger(status) && status >= 100 && status < 700)) {
          throw new RangeError(`protoo: status ${status}, expected 100-699`);
        }
        if (ended) throw new Error('protoo: already replied');
        const item = peer.#encode({ status, reason, id, data });
        if (peer.#refusal(item)) return false;
        ended = status >= 200;
        peer.#send(item);
        return true;
      },
    };
    if (this.#running.size >= MAX_HANDLERS_RUNNING) return req.reply(503, 'too many requests');
    this.#running.add(controller);
    try {
      const value = await this.#route(req);
      if (!ended) req.reply(200, 'OK', value);
    } catch (error) {
      this.#failed(req, error);
    }
    this.#running.delete(controller);
  }

  #route(req) {
    for (const { method, segments, fn } of this.#handlers) {
      const params = (method === '*' || method === req.method) && matchPath(segments, req.path);
      if (params) {
        req.params = params;
        return fn(req);
      }
    }
    throw new ProtooError(404, `no handler for ${req.method} at ${req.path}`);
  }

  // A local error says what went wrong on this side, which is not the asker's business.
  #failed(req, error) {
    try {
      if (!(error instanceof ProtooError) || error.local || req.ended) throw error;
      req.reply(error.status, error.reason, error.data);
    } catch (error) {
      this.#report(error);
      if (!req.ended) req.reply(500, 'internal error');
    }
  }

  #emit(type, detail, cancelable = false) {
    return this.dispatchEvent(Object.assign(new Event(type, { cancelable }), detail));
  }

  #report(error) {
    if (this.#emit('error', { error }, true)) console.error(error);
  }
}

const ask = (value) => (typeof value === 'function' ? value() : value);

function findFault(message) {
  const { id, method, path, status, reason } = message ?? {};
  const goodId = typeof id === 'string' ? id && id.length <= 128 : Number.isSafeInteger(id) && id >= 0;
  if (!goodId) return 'id: expected a string of 1 to 128 bytes or a non-negative integer';
  if ('method' in message) {
    if (typeof method !== 'string' || !/^[\w.-]{1,64}$/.test(method)) return 'method: expected a name';
    if (typeof path !== 'string' || !path.startsWith('/') || path.length > 2048) return 'path: expected /...';
  } else {
    if (!(Number.isInteger(status) && status >= 100 && status < 700)) return 'status: expected 100-699';
    if (typeof reason !== 'string') return 'reason: expected a string';
  }
}

// Whole segments only, so that matching takes linear time and no path can make it slow.
function parsePattern(pattern) {
  if (pattern !== '*' && !/^(\/(:\w+|[^/:*?+()]*))*(\/(:\w+\?|\*))?$/.test(pattern || ':')) {
    throw new TypeError(`protoo: pattern ${pattern}, expected / and segments: text, :name, last :name? or *`);
  }
  return pattern.replace(/\/$/, '').split('/');
}

// As the server matches by default: letter case and one trailing slash do not count.
function matchPath(segments, path) {
  const parts = path.split('/');
  const params = { __proto__: null };
  for (const [i, segment] of segments.entries()) {
    const part = parts[i];
    if (segment === '*') {
      if (part === undefined) return;
      params[0] = decode(parts.slice(i).join('/'));
      return params;
    }
    if (segment[0] !== ':') {
      if (part?.toLowerCase() !== segment.toLowerCase()) return;
    } else if (part) {
      params[segment.replace(/\W/g, '')] = decode(part);
    } else if (!segment.endsWith('?')) {
      return;
    }
  }
  const beyond = parts.length - segments.length;
  if (beyond <= 0 || (beyond === 1 && !parts.at(-1))) return params;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new ProtooError(400, `path: cannot decode ${part}`);
  }
}

// A transport is a function that opens something with the part of a WebSocket's interface that
// protoo.d.ts calls Connection, so this one has next to nothing to do.
export function websocket(url, { WebSocket = globalThis.WebSocket } = {}) {
  url = new URL(url);
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = new WebSocket(url.href, 'protoo');
  socket.binaryType = 'arraybuffer'; // ws would hand over a Buffer, which passes for text
  socket.transport = 'websocket';
  return socket;
}

export const webtransport = (url, options) => new Session(url, options);

// A server without TLS has no WebTransport, unless its self-made certificate is known here.
function auto(url, options) {
  const possible = options.WebTransport && (/^(https|wss):/.test(url.protocol) || options.serverCertificateHashes?.length);
  return possible ? new Race(url, options) : websocket(url, options);
}

function chooseTransport(name, WebSocket, WebTransport) {
  const transport = { auto: WebSocket ? auto : webtransport, webtransport, websocket }[name];
  if (!transport) throw new TypeError(`protoo: transport ${name}, expected auto, webtransport or websocket`);
  if (!(transport === webtransport ? WebTransport : WebSocket)) {
    const needed = name === 'webtransport' ? 'WebTransport' : 'WebSocket';
    throw new TypeError(`protoo: no global ${needed} here: hand one in, connect(url, { ${needed} })`);
  }
  return transport;
}

// Starts a transport, another one when the first has failed or is slow (as RFC 8305 does with addresses), and
// hands over the first that opens.
class Race {
  readyState = 0;
  bufferedAmount = 0;
  #url;
  #options;
  #webSocketIsFirst;
  #waiting;
  #running = new Set();
  #timer;

  constructor(url, options) {
    this.#url = url;
    this.#options = options;
    this.#webSocketIsFirst = isWebSocketFirst(url.host);
    this.#waiting = this.#webSocketIsFirst ? [websocket, webtransport] : [webtransport, websocket];
    queueMicrotask(() => this.#next());
  }

  close() {
    this.readyState = 3;
    clearTimeout(this.#timer);
    for (const connection of this.#running) connection.close();
  }

  #next(failure) {
    if (this.readyState) return;
    clearTimeout(this.#timer);
    const transport = this.#waiting.shift();
    if (!transport) {
      if (!this.#running.size) this.onclose(failure);
      return;
    }
    if (this.#waiting.length) {
      this.#timer = setTimeout(() => this.#next(), Math.min(HEAD_START, this.#options.connectTimeout / 2));
    }
    try {
      const connection = transport(this.#url, this.#options);
      this.#running.add(connection);
      connection.onopen = () => this.#won(connection);
      connection.onerror = connection.onclose = ({ code, reason, message }) => {
        if (this.#running.delete(connection)) this.#next({ code, reason: reason || message });
      };
    } catch (error) {
      this.#next({ reason: error.message });
    }
  }

  #won(connection) {
    if (this.readyState) return;
    this.#running.delete(connection);
    const contested = this.#running.size > 0;
    this.close();
    const { host } = this.#url;
    if (connection.transport === 'webtransport') remember(host, 0);
    else if (!this.#webSocketIsFirst) remember(host, Date.now() + REMEMBERED_FOR);
    for (const name of ['onmessage', 'onclose', 'onerror']) connection[name] = this[name];
    this.onopen({ winner: connection, contested });
  }
}

// By host, until when WebSocket comes first because WebTransport was beaten: in a network that keeps UDP out, and networks change.
const remembered = new Map();
const storageKey = (host) => `protoo.websocket ${host}`;

function remember(host, until) {
  remembered.set(host, until);
  try {
    if (until) localStorage.setItem(storageKey(host), until);
    else localStorage.removeItem(storageKey(host));
  } catch {} // there is none, or it is full, or forbidden
}

function isWebSocketFirst(host) {
  let until = remembered.get(host);
  try {
    until = Number(localStorage.getItem(storageKey(host)) ?? until);
  } catch {}
  const rest = until - Date.now();
  return rest > 0 && rest <= REMEMBERED_FOR; // more than that is from a clock that was wrong
}

// A WebTransport session as a Connection. Frames go over one bidirectional stream, which the client opens.
class Session {
  transport = 'webtransport';
  readyState = 0;
  bufferedAmount = 0;
  #session;
  #maxReceived;
  #writer;
  #post = []; // datagrams to be sent
  #postman;

  constructor(url, { WebTransport = globalThis.WebTransport, serverCertificateHashes = [], maxReceived = 1 << 20, datagrams } = {}) {
    url = new URL(url);
    const { port, protocol } = url;
    url.protocol = 'https:';
    if (!port && /^(http|ws):/.test(protocol)) url.port = 80;
    this.#session = new WebTransport(url.href, { protocols: ['protoo'], serverCertificateHashes });
    this.#maxReceived = maxReceived;
    if (datagrams) this.sendDatagram = (text) => this.#sendDatagram(text);
    this.#run();
  }

  send(text) {
    this.#write(encodeFrame(TEXT, encoder.encode(text)));
  }

  close(code, reason = '') {
    const end = () => this.#session.close({ closeCode: code ?? 0, reason });
    if (this.readyState === 1) {
      this.#sayGoodbye(code, reason).then(() => setTimeout(end, GOODBYE));
      setTimeout(end, DRAIN);
    } else if (this.readyState === 0) {
      this.readyState = 2;
      end();
    }
  }

  async #run() {
    const session = this.#session;
    const closed = session.closed.then(
      ({ closeCode, reason }) => ({ code: closeCode || NO_STATUS, reason }),
      (error) => ({ code: ABNORMAL, reason: error?.message }));
    let read;
    try {
      await session.ready;
      const { readable, writable } = await session.createBidirectionalStream();
      if (this.readyState === 0) {
        this.#writer = writable.getWriter();
        const broken = new Promise((_, reject) => { this.#writer.closed.catch(reject); });
        this.#write(encodeFrame(PING)); // the server does not see a stream before its first byte
        this.readyState = 1;
        this.onopen?.({});
        if (this.sendDatagram) this.#receiveDatagrams(session.datagrams.readable.getReader());
        read = this.#read(readable.getReader()).catch(() => {});
        await Promise.race([read, broken]);
      }
    } catch {} // closed says why
    if (this.readyState === 1) this.readyState = 2;
    // The end of the stream can be ahead of the end of the session, and of what is still to be read.
    await Promise.race([Promise.all([closed, read]), new Promise((resolve) => { setTimeout(resolve, GOODBYE); })]);
    const end = await Promise.race([closed, {}]);
    this.#ended(end.code ?? ABNORMAL, end.reason);
    session.close();
  }

  async #read(reader) {
    const frames = new FrameDecoder(this.#maxReceived);
    let turn;
    try {
      while (this.readyState < 3) {
        const { value, done } = await reader.read();
        if (done) return;
        for (const [opcode, payload] of frames.push(value)) {
          await turn;
          this.#receive(opcode, payload);
          turn = nextTask();
        }
      }
    } catch (error) {
      if (!(error instanceof Breach)) throw error;
      this.#sayGoodbye(error.code, error.message);
      this.#ended(error.code, error.message);
    }
  }

  #receive(opcode, payload) {
    if (opcode === CLOSE) return this.#receiveClose(payload);
    if (this.readyState !== 1) return;
    if (opcode === PING) this.#write(encodeFrame(PONG, payload));
    else if (opcode !== PONG) this.onmessage?.({ data: opcode === TEXT ? textOf(payload) : payload.buffer });
  }

  #receiveClose(payload) {
    if (payload.length === 1) throw new Breach(1002, 'close frame with half a code');
    const code = payload.length ? payload[0] << 8 | payload[1] : undefined;
    const reason = decoder.decode(payload.subarray(2));
    if (this.readyState === 1) this.#sayGoodbye(code, reason);
    else if (this.readyState === 2) this.#session.close({ closeCode: code ?? 0, reason });
    this.#ended(code ?? NO_STATUS, reason);
  }

  async #sayGoodbye(code, reason) {
    if (this.readyState !== 1) return;
    this.readyState = 2;
    this.#write(encodeFrame(CLOSE, code === undefined ? [] : [code >> 8, code, ...encoder.encode(reason)]));
    return this.#writer.close().catch(() => {});
  }

  #ended(code, reason = '') {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  #write(frame) {
    this.bufferedAmount += frame.length;
    this.#writer.write(frame).then(() => { this.bufferedAmount -= frame.length; }, () => {});
  }

  async #sendDatagram(text) {
    if (this.#post.push(encodeFrame(TEXT, encoder.encode(text))) > MAX_POST) this.#post.splice(1, 1); // the first is on its way
    if (this.#post.length > 1) return; // somebody is at it
    const { datagrams } = this.#session;
    try {
      this.#postman ??= (datagrams.createWritable?.() ?? datagrams.writable).getWriter();
      for (; this.#post.length; this.#post.shift()) await this.#postman.write(this.#post[0]);
    } catch {
      this.#post = []; // the session has ended
    }
  }

  async #receiveDatagrams(reader) {
    try {
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        if (this.readyState === 1) this.onmessage?.({ data: messageOf(value) });
        await nextTask();
      }
    } catch {} // the session has ended
  }
}

// A WebSocket has a task for each message: whatever an answer sets off happens before the next message. So it is here. A timer would
// not do, since browsers slow them down.
const turns = [];
let channel;

function nextTask() {
  if (!channel) {
    channel = new MessageChannel();
    channel.port1.onmessage = () => turns.shift()();
    channel.port1.unref?.(); // Node would wait for it
  }
  return new Promise((resolve) => {
    turns.push(resolve);
    channel.port2.postMessage(0);
  });
}

class Breach extends Error {
  constructor(code, reason) {
    super(reason);
    this.code = code;
  }
}

// Makes frames of bytes, in whatever pieces they come. Nothing is put aside for a payload before its length is known to be allowed.
class FrameDecoder {
  #maxMessage;
  #header = [];
  #payload;
  #filled = 0;

  constructor(maxMessage) {
    this.#maxMessage = maxMessage;
  }

  * push(bytes) {
    for (let at = 0; at < bytes.length;) {
      if (!this.#payload) {
        this.#header.push(bytes[at++]);
        const length = this.#readHeader();
        if (length === undefined) continue;
        this.#payload = new Uint8Array(length);
      }
      const payload = this.#payload;
      const piece = bytes.subarray(at, at + payload.length - this.#filled);
      payload.set(piece, this.#filled);
      at += piece.length;
      this.#filled += piece.length;
      if (this.#filled < payload.length) return;
      const [opcode] = this.#header;
      this.#header = [];
      this.#payload = undefined;
      this.#filled = 0;
      yield [opcode, payload];
    }
  }

  #readHeader() {
    const [opcode, first, ...rest] = this.#header;
    const control = opcode >= CLOSE;
    if (opcode !== TEXT && opcode !== BINARY && !(control && opcode <= PONG)) throw new Breach(1002, `unknown opcode ${opcode}`);
    if (first === undefined || rest.length < (1 << (first >> 6)) - 1) return;
    const length = rest.reduce((sum, byte) => sum * 256 + byte, first & 63);
    if (control && length > MAX_CONTROL) throw new Breach(1002, `control frame of ${length} bytes`);
    if (length > this.#maxMessage) throw new Breach(1009, `message of more than ${this.#maxMessage} bytes`);
    return length;
  }
}

function encodeFrame(opcode, payload = []) {
  const { length } = payload;
  const varint = length < 1 << 6 ? [length]
    : length < 1 << 14 ? [1 << 6 | length >> 8, length] : [1 << 7 | length >> 24, length >> 16, length >> 8, length];
  const frame = new Uint8Array(1 + varint.length + length);
  frame.set([opcode, ...varint]);
  frame.set(payload, 1 + varint.length);
  return frame;
}

// What is not UTF-8 is no message, and becomes a bad one like a binary frame.
function textOf(payload) {
  try {
    return strictDecoder.decode(payload);
  } catch {
    return payload.buffer;
  }
}

function messageOf(datagram) {
  try {
    const [[opcode, payload]] = new FrameDecoder(MAX_DATAGRAM).push(datagram);
    if (opcode === TEXT) return textOf(payload);
  } catch {} // it is not a frame, or not a whole one
  return datagram.buffer;
}

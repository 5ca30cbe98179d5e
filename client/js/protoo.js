// The protoo client for browsers and Node. README.md is the guide, protoo.d.ts the reference.

const RESTART = 1012, TRY_LATER = 1013, REPLACED = 3000;
const FINAL_CODES = new Set([1000, 1008, REPLACED, 4401, 4403]);
const MAX_HANDLERS_RUNNING = 1000;
const MAX_TIMER = 2 ** 31 - 1; // setTimeout fires at once for anything longer

const encoder = new TextEncoder();

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

// A transport is a function that opens something with the part of a WebSocket's interface that
// protoo.d.ts calls Connection, so this one has next to nothing to do.
export function websocket(url, { WebSocket = globalThis.WebSocket } = {}) {
  url = new URL(url);
  url.protocol = url.protocol.replace('http', 'ws');
  const socket = new WebSocket(url.href, 'protoo');
  socket.binaryType = 'arraybuffer'; // ws would hand over a Buffer, which passes for text
  return socket;
}

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
    WebSocket = globalThis.WebSocket, transports = WebSocket ? [websocket] : [], reconnect = {},
    connectTimeout = 10_000, maxMessage = 65_536, maxQueued = 1000, maxQueuedBytes = 1 << 20,
    signal, ...options
  } = {}) {
    super();
    signal?.throwIfAborted();
    if (!transports.length) {
      throw new TypeError('protoo: no global WebSocket here: hand one in, connect(url, { WebSocket })');
    }
    this.#url = new URL(url, globalThis.location?.href);
    this.#transports = transports;
    this.#options = {
      ...options, WebSocket, connectTimeout, maxMessage, maxQueued, maxQueuedBytes,
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

  get bufferedAmount() {
    return this.#queuedBytes + (this.#connection?.bufferedAmount ?? 0);
  }

  request(method, path, data, options = {}) {
    const { timeout = method === 'session' ? 120_000 : 10_000, signal, onProvisional } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (!(timeout > 0)) throw new RangeError(`protoo: timeout ${timeout}, expected milliseconds above 0`);
      const id = this.#idPrefix + ++this.#idCount;
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
    if (this.state === 'closed') return;
    this.#connection?.close(code, reason);
    this.#end(code, reason);
  }

  async #open() {
    const epoch = ++this.#epoch;
    const current = (fn) => (event) => { if (epoch === this.#epoch) fn(event); };
    let cause;
    const lost = current(({ code = 1006, reason }) => this.#lost(code, reason || cause || ''));
    this.#timer = setTimeout(lost, this.#options.connectTimeout, { reason: 'connect timeout' });
    try {
      const url = new URL(this.#url);
      const { username, uuid, token } = this.#options;
      const query = { username, uuid, token: await (typeof token === 'function' ? token() : token) };
      if (epoch !== this.#epoch) return;
      for (const name in query) if (query[name] != null) url.searchParams.set(name, query[name]);

      const transport = this.#transports[this.#transport % this.#transports.length];
      const connection = this.#connection = transport(url, this.#options);
      connection.onopen = current(() => this.#opened());
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
    const { reconnect } = this.#options;
    this.#abandon()?.close();
    if (!this.#openedAt) this.#transport++;
    // A server that restarts or is overloaded has not served us, however long it took.
    const served = Date.now() - this.#openedAt >= reconnect.stable;
    if (served && code !== RESTART && code !== TRY_LATER) this.#attempt = 0;
    this.#openedAt = undefined;
    if (!reconnect || FINAL_CODES.has(code)) return this.#end(code, reason, code === REPLACED);

    const delay = Math.random() * Math.min(reconnect.cap, reconnect.base * 2 ** this.#attempt++);
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

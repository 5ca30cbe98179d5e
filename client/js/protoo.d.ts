/**
 * Opens a peer. It returns at once, so that handlers and listeners are in place before the first message
 * can arrive; `peer.ready` tells when the connection is open.
 *
 * Throws a TypeError for a URL that does not parse, and where the transport is missing: Node before 22 has no
 * global WebSocket, hand one in.
 *
 * @param url `ws:`, `wss:`, `http:` or `https:`; in a page it may be relative to the page.
 */
export function connect(url: string | URL, options?: ConnectOptions): Peer;

export interface ConnectOptions {
  /** Goes to the server in the query. What becomes of it is the server's decision. */
  username?: string;
  /** Names the device; goes to the server in the query. */
  uuid?: string;
  /**
   * Goes to the server in the query, so let it be short-lived. A function is asked again for every connection;
   * if it fails, that counts as a connection that could not be opened.
   */
  token?: string | (() => string | Promise<string>);
  /**
   * `auto`, the default, starts with WebTransport, gives WebSocket a go when that has failed or is not ready after 500 ms (or half of `connectTimeout`), and
   * takes the first that opens; `peer.transport` says which. Where WebTransport was beaten, WebSocket comes first for the next
   * ten minutes. It is WebSocket alone where there is no WebTransport, and at `http:` and `ws:` URLs, whose servers
   * have no certificate, unless `serverCertificateHashes` says otherwise.
   */
  transport?: 'auto' | 'webtransport' | 'websocket';
  /** Your own transports, instead: tried in turn, after one that could not open a connection comes the next. */
  transports?: Transport[];
  /** The WebSocket class. Default: the global one. */
  WebSocket?: unknown;
  /** The WebTransport class. Default: the global one. */
  WebTransport?: unknown;
  /**
   * Certificates that WebTransport accepts although nobody has signed them: ECDSA, and valid for at most 14 days. A function
   * is asked again for every connection, as such certificates change often; if it fails, that counts as a connection that could not be opened.
   */
  serverCertificateHashes?: CertificateHash[] | (() => CertificateHash[] | undefined | Promise<CertificateHash[] | undefined>);
  /**
   * Lets `peer.datagram` send datagrams over WebTransport, and takes them from a server that sends some. The server
   * must take them as well: one that does not drops them without a word. Default: false.
   */
  datagrams?: boolean;
  /** Bytes in a message that comes in over WebTransport; a longer one closes the connection with 1009. Default: 1 MiB. */
  maxReceived?: number;
  /** False closes the peer for good when its connection is lost. */
  reconnect?: boolean | ReconnectOptions;
  /** Milliseconds in which a connection must open, the token's function included. Default: 10,000. */
  connectTimeout?: number;
  /** Bytes in one message; a larger one is refused here, as a server would close the connection. Default: 65,536. */
  maxMessage?: number;
  /** Messages that may wait for a connection. Default: 1,000. */
  maxQueued?: number;
  /** Bound on `peer.bufferedAmount` in bytes. Default: 1 MiB. */
  maxQueuedBytes?: number;
  /** Aborting closes the peer, at any time: it is no timeout for connecting. */
  signal?: AbortSignal;
}

/** The hash of a certificate in DER, as `WebTransport` takes it. */
export interface CertificateHash {
  algorithm: 'sha-256';
  value: BufferSource;
}

/**
 * The wait before attempt n is random between 0 and `min(cap, base * 2^n)` milliseconds ("full jitter"). A server that closes with 1012 or 1013
 * can choose the first one itself, up to a minute.
 */
export interface ReconnectOptions {
  /** Default: 500. */
  base?: number;
  /** Default: 30,000. */
  cap?: number;
  /** Milliseconds a connection must have been open before n starts at 0 again. Default: 5,000. */
  stable?: number;
}

export interface Peer extends EventTarget {
  readonly username: string | undefined;
  readonly uuid: string | undefined;
  /** `connecting` is every gap between two connections, `closed` is for good. */
  readonly state: 'connecting' | 'open' | 'closed';
  /** What the open connection goes over: `webtransport`, `websocket`, or what a transport of your own calls itself. */
  readonly transport: string | undefined;
  /** Resolves when the peer opens for the first time, rejects with a 410 if it is closed before. */
  readonly ready: Promise<void>;
  /** Bytes that were accepted and have not left for the network. Watch it before sending much. */
  readonly bufferedAmount: number;

  /**
   * Sends a request and resolves with its final response if that is a 2xx. A 3xx-6xx rejects with a
   * `ProtooError`, as do the errors of this side, whose `local` is true:
   *
   * - 400 the data cannot be encoded as JSON
   * - 408 "sending timeout": no final response in time
   * - 410 "peer offline": the peer is closed, or was while the request waited; `data` has the close code and reason
   * - 413 the message is larger than `maxMessage`
   * - 503 "too much queued"
   *
   * An aborted request rejects with the signal's reason. Nobody is told: the server may have handled it already.
   */
  request<T = any>(method: string, path: string, data?: unknown, options?: RequestOptions): Promise<Response<T>>;

  /**
   * Sends a request that asks for no answer and may get lost, overtake others or come after them: a cursor's position, say. An answer
   * is ignored. With the option `datagrams` it goes as a datagram over WebTransport, of which at most 32 wait, and then the
   * oldest are dropped; otherwise it goes like any other. Returns false where it was dropped at once: nothing waits for a connection.
   *
   * Throws a `ProtooError` with 413 for a message of more than 1,147 bytes, over any transport, and with 400 for data that cannot be encoded.
   */
  datagram(method: string, path: string, data?: unknown): boolean;

  /**
   * Answers requests from the server and, through it, from other peers. The first handler that matches, in the
   * order of registration, gets the request; without one the answer is 404. Returns a function that removes it.
   *
   * @param method `*` is any.
   * @param path Segments of text, `:name`, and as the last one `:name?` or `*` (its value is param 0); or `*` for
   * every path. Letter case and one trailing slash do not count. Anything else throws a TypeError.
   */
  handle(method: string, path: string, fn: Handler, options?: { signal?: AbortSignal }): () => void;

  /**
   * Closes for good. Codes: 1000 (the default, with "normal closure") and 3000-4999. The reason has at most 123 bytes.
   * Others throw a RangeError.
   */
  close(code?: number, reason?: string): void;

  addEventListener<K extends keyof PeerEvents>(
    type: K, listener: (this: Peer, event: PeerEvents[K]) => void, options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof PeerEvents>(
    type: K, listener: (this: Peer, event: PeerEvents[K]) => void, options?: boolean | EventListenerOptions,
  ): void;
}

export interface RequestOptions {
  /** Milliseconds from the call to the final response, Infinity for no bound. Default: 10,000, for `session` 120,000. */
  timeout?: number;
  signal?: AbortSignal;
  /** Gets the 1xx responses. */
  onProvisional?: (response: Response) => void;
}

export interface Response<T = any> {
  readonly status: number;
  readonly reason: string;
  readonly data: T;
}

/**
 * What it returns, or the promise of it, becomes the data of a 200, unless `req.reply` has sent a final response.
 * A `ProtooError` it throws becomes the response; any other error, and a `ProtooError` of this side, a 500 that
 * tells nothing, and an `error` event. Handlers start in the order the requests arrived and do not wait for each other.
 */
export type Handler = (req: Request) => unknown;

export interface Request {
  readonly peer: Peer;
  readonly method: string;
  readonly path: string;
  readonly id: string | number;
  readonly data: any;
  /** For a request of another peer its `{username, uuid}`, set by the server. */
  readonly sender: any;
  /** What the pattern's names stand for, percent-decoded. */
  readonly params: Record<string, string>;
  /** Aborted when the peer is closed for good: nobody gets the answer any more. */
  readonly signal: AbortSignal;
  /** A final response was accepted. */
  readonly ended: boolean;
  /**
   * Sends a provisional (100-199) or the final (200-699) response, over the next connection if there is none now.
   * False: the peer is closed or too much is queued, and it was dropped. Throws after the final response, for a
   * status out of range and for data that cannot be encoded.
   */
  reply(status: number, reason?: string, data?: unknown): boolean;
}

/** A response from 300 to 699: received, thrown by a handler to send it, or made by this side. */
export class ProtooError extends Error {
  constructor(status: number, reason?: string, data?: unknown);
  readonly status: number;
  readonly reason: string;
  readonly data: any;
  /** Made by this side; see `Peer.request`. */
  readonly local: boolean;
}

/** Every event is an `Event` with these fields; its `timeStamp` is the time. */
export interface PeerEvents {
  /** The first connection is open. */
  open: Event;
  /** A connection was lost, or could not be opened, and the next follows in `delay` milliseconds. */
  reconnecting: Event & CloseDetail & { readonly attempt: number; readonly delay: number };
  reconnected: Event;
  /** Code 3000: the same username and uuid connected elsewhere. `close` follows. */
  replaced: Event & CloseDetail;
  /** Closed for good. */
  close: Event & CloseDetail;
  /** A message as it went out. */
  send: Event & { readonly text: string };
  /** A message as it came in, before anything is done with it. */
  receive: Event & { readonly text: string };
  /** A message that is no request and no response; it is dropped. */
  badmessage: Event & { readonly text: string; readonly reason: string };
  /** A handler or an `onProvisional` threw. Goes to the console unless `preventDefault()` is called. */
  error: Event & { readonly error: unknown };
}

export interface CloseDetail {
  readonly code: number;
  readonly reason: string;
}

/**
 * Opens one connection; identity and token are in the URL's query by then, its scheme is the one given to
 * `connect`. The options are those of `connect`. If it throws, the connection could not be opened.
 */
export type Transport = (url: URL, options: ConnectOptions) => Connection;

/** What a transport opens: the part of a WebSocket's interface that is needed here. */
export interface Connection {
  /** 1 while `send` can be called, which then must not throw. */
  readonly readyState: number;
  readonly bufferedAmount: number;
  send(text: string): void;
  /** Sends text that may get lost. Without it `send` is used. */
  sendDatagram?(text: string): void;
  /** What `peer.transport` is then. */
  readonly transport?: string;
  /** May be called in any state, and then again. */
  close(code?: number, reason?: string): void;
  onopen: ((event: any) => void) | null;
  /** The event's `data` is the text of one whole message. */
  onmessage: ((event: any) => void) | null;
  /** The event has `code` and `reason`. */
  onclose: ((event: any) => void) | null;
  /** The connection failed; `message` may say why. `onclose` may follow in the same task. */
  onerror: ((event: any) => void) | null;
}

/** `ws:` and `http:` are the same to it, as are `wss:` and `https:`. */
export const websocket: Transport;

/** Whatever the URL's scheme, it connects to the same host and port over QUIC, with TLS. */
export const webtransport: Transport;

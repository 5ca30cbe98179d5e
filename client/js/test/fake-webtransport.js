/**
 * A WebTransport class whose other side is the test: its streams are real, and it ends as the specification says.
 * `sessions` are those that were made.
 */
export function fakeWebTransport() {
  /** @type {FakeSession[]} */
  const sessions = [];
  class WebTransport extends FakeSession {
    constructor(url, options) {
      super(url, options);
      sessions.push(this);
    }
  }
  return { WebTransport, sessions };
}

/** An error as browsers make them: a DOMException, so that it has a code that says nothing. */
const failure = (message) => new DOMException(message, 'WebTransportError');

function deferred() {
  /** @type {(value?: any) => void} */ let resolve = () => {};
  /** @type {(reason?: any) => void} */ let reject = () => {};
  const promise = new Promise((...functions) => { [resolve, reject] = functions; });
  return { promise, resolve, reject };
}

export class FakeSession {
  #ready = deferred();
  #closed = deferred();
  /** @type {any} */ #incoming;
  /** @type {any} */ #outgoing;
  /** @type {any} */ #arriving;
  #blocked = deferred();
  #state = 'connecting';

  /** What the client has written, and whether it has ended its direction. */
  written = Buffer.alloc(0);
  finished = false;
  /** What the client has closed the session with. @type {any} */
  closedWith;
  /** @type {Buffer[]} */
  datagramsSent = [];
  refuseStreams = false;

  constructor(url, options) {
    this.url = url;
    this.options = options;
    this.ready = this.#ready.promise;
    this.closed = this.#closed.promise;
    this.#blocked.resolve();
    this.datagrams = {
      readable: new ReadableStream({ start: (controller) => { this.#arriving = controller; } }),
      writable: new WritableStream({ write: async (chunk) => {
        await this.#blocked.promise;
        this.datagramsSent.push(Buffer.from(chunk));
      } }),
    };
  }

  async createBidirectionalStream() {
    await undefined;
    if (this.#state !== 'connected' || this.refuseStreams) throw failure('no stream');
    const readable = new ReadableStream({ start: (controller) => { this.#incoming = controller; } });
    const writable = new WritableStream({
      start: (controller) => { this.#outgoing = controller; },
      write: async (chunk) => {
        await this.#blocked.promise;
        this.written = Buffer.concat([this.written, chunk]);
      },
      close: async () => {
        await this.#blocked.promise;
        this.finished = true;
      },
    });
    return { readable, writable };
  }

  close({ closeCode = 0, reason = '' } = {}) {
    if (this.#state === 'closed') return;
    this.closedWith = { closeCode, reason };
    if (this.#state === 'connecting') return this.fail('closed before it was ready');
    this.#end(failure('The session is closed.'));
    this.#closed.resolve({ closeCode, reason });
  }

  // What follows is the test's.

  accept() {
    this.#state = 'connected';
    this.#ready.resolve();
  }

  receive(...chunks) {
    for (const chunk of chunks) this.#incoming.enqueue(new Uint8Array(chunk));
  }

  receiveDatagram(bytes) {
    this.#arriving.enqueue(new Uint8Array(bytes));
  }

  /** The server ends its direction of the stream. */
  finish() {
    this.#incoming.close();
  }

  /** The server stops a direction, or both, and the session lives on. */
  reset({ reading = true, writing = true } = {}) {
    if (reading) this.#incoming.error(failure('The stream was reset.'));
    if (writing) this.#outgoing.error(failure('The stream was stopped.'));
  }

  /** The server ends the session with a code. */
  end(closeCode, reason) {
    this.#end(failure('The session is closed.'));
    this.#closed.resolve({ closeCode, reason });
  }

  /** The connection is lost, or was never made. */
  fail(message = 'Connection lost.') {
    const error = failure(message);
    this.#end(error);
    this.#ready.reject(error);
    this.#closed.reject(error);
  }

  /** Holds back what the client writes, as a network does, until `unblock`. */
  block() {
    this.#blocked = deferred();
  }

  unblock() {
    this.#blocked.resolve();
  }

  get over() {
    return this.#state === 'closed';
  }

  #end(error) {
    this.#state = 'closed';
    for (const controller of [this.#incoming, this.#outgoing, this.#arriving]) {
      try {
        controller?.error(error);
      } catch {} // it was closed before
    }
  }
}

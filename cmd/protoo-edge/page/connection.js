// The page's connection to the server: a peer of client/js, and a new one after it was closed for good.
import { connect } from '/protoo.js';

export const TRANSPORTS = { webtransport: 'WebTransport', websocket: 'WebSocket' };

/** After so many attempts it is rather the server than the network. */
const SERVER_GONE = 4;

export class Connection extends EventTarget {
  /** `off`, `connecting`, `online`, `reconnecting`, `replaced` or `closed`. */
  state = 'off';
  /** Of the last loss: `code`, `reason`, `attempt`, and `until`, when the next attempt begins. */
  loss;
  peer;
  identity;
  #settings;
  #prepare;
  #listening;

  /** `prepare` gets every new peer, before it can receive anything, to add its handlers. */
  constructor(settings, prepare) {
    super();
    this.#settings = settings;
    this.#prepare = prepare;
    settings.addEventListener('transport', () => {
      if (this.state !== 'off') this.open(this.identity);
    });
  }

  /** What the connection goes over, as people call it. */
  get transport() {
    return TRANSPORTS[this.peer?.transport];
  }

  get serverGone() {
    return this.state === 'reconnecting' && this.loss.attempt >= SERVER_GONE;
  }

  open(identity) {
    this.close();
    this.identity = identity;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const { transport } = this.#settings;
    const peer = connect('/protoo', {
      username: identity.name, uuid: identity.device, transport,
      serverCertificateHashes: 'WebTransport' in globalThis && transport !== 'websocket' ? certificateHashes : undefined,
      reconnect: { cap: 8000 }, // somebody looks at this page while it reconnects, so it is less patient than other clients
    });
    this.peer = peer;
    const on = (type, fn) => peer.addEventListener(type, fn, { signal });
    on('open', () => this.#enter('online'));
    on('reconnected', () => this.#enter('online'));
    on('reconnecting', ({ code, reason, attempt, delay }) =>
      this.#enter('reconnecting', { code, reason, attempt, until: Date.now() + delay }));
    on('close', ({ code, reason }) => this.#enter(code === 3000 ? 'replaced' : 'closed', { code, reason }));
    on('send', ({ text }) => this.#frame('out', text));
    on('receive', ({ text }) => this.#frame('in', text));
    this.#prepare(peer);
    this.#enter('connecting');
  }

  /** Goes offline, without a word about it to the listeners of the peer. */
  close() {
    this.#listening?.abort();
    this.peer?.close();
    this.peer = undefined;
    this.#enter('off');
  }

  #enter(state, loss) {
    this.state = state;
    this.loss = loss;
    this.dispatchEvent(new Event('state'));
  }

  #frame(direction, text) {
    this.dispatchEvent(Object.assign(new Event('frame'), { direction, text }));
  }
}

/** Those of the server's self-made certificates, if it has any. */
async function certificateHashes() {
  const response = await fetch('/certificate-hashes.json');
  if (response.status === 404) return undefined;
  const { hashes } = await response.json();
  return hashes.map((hash) => ({ algorithm: 'sha-256', value: Uint8Array.from(atob(hash), (char) => char.charCodeAt(0)) }));
}

// The page's connection to the server: a peer of client/js, and a new one after it was closed for good.
import { connect } from '/protoo.js';

/** After so many attempts it is rather the server than the network. */
const SERVER_GONE = 4;

export class Connection extends EventTarget {
  /** `off`, `connecting`, `online`, `reconnecting`, `replaced` or `closed`. */
  state = 'off';
  /** Of the last loss: `code`, `reason`, `attempt`, and `until`, when the next attempt begins. */
  loss;
  peer;
  identity;
  #prepare;
  #listening;

  /** `prepare` gets every new peer, before it can receive anything, to add its handlers. */
  constructor(prepare) {
    super();
    this.#prepare = prepare;
  }

  get serverGone() {
    return this.state === 'reconnecting' && this.loss.attempt >= SERVER_GONE;
  }

  open(identity) {
    this.close();
    this.identity = identity;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    // Somebody looks at this page while it reconnects, so it is less patient than other clients.
    const peer = connect('/protoo', { username: identity.name, uuid: identity.device, reconnect: { cap: 8000 } });
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

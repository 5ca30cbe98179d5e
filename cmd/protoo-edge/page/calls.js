// The call that this page is in: one at a time.
import { ProtooError } from '/protoo.js';
import { Call, KINDS } from './call.js';
import { duration } from './format.js';

const NAMES = { video: 'Video call', audio: 'Voice call', text: 'Direct channel' };

/** Events: `call` when there is a new one. */
export class Calls extends EventTarget {
  current;
  #connection;
  #people;
  #settings;

  constructor(connection, people, settings) {
    super();
    this.#connection = connection;
    this.#people = people;
    this.#settings = settings;
    connection.addEventListener('state', () => {
      // Whoever is online in another window is called there. But a call that is on can do without the server for a while.
      if (['replaced', 'closed', 'off'].includes(connection.state)) this.current?.hangUp('disconnected');
      else if (connection.state === 'online') this.current?.check();
    });
    // Best effort: if it does not get out, the server tells the other side when this one is offline.
    addEventListener('pagehide', () => this.current?.hangUp('page closed'));
  }

  get active() {
    return Boolean(this.current) && !this.current.over;
  }

  prepare(peer) {
    peer.handle('session', '/sessions/:id', (req) => this.#ring(req));
    peer.handle('candidate', '/sessions/:id', (req) => this.#of(req).candidate(req.data));
    peer.handle('ping', '/sessions/:id', (req) => void this.#of(req));
    peer.handle('end', '/sessions/:id', (req) => this.#of(req, true).ended(req.data));
  }

  /** Calls a device. */
  start(username, uuid, kind) {
    if (this.active) return;
    const call = this.#begin({ other: { username, uuid }, kind, outgoing: true });
    call.start();
  }

  #ring(req) {
    const { sender, data } = req;
    if (typeof sender?.username !== 'string' || typeof sender.uuid !== 'string') throw new ProtooError(400, 'no sender');
    if (data?.offer?.type !== 'offer' || typeof data.offer.sdp !== 'string') throw new ProtooError(488, 'no offer');
    const mutual = this.active && this.#isMutual(sender);
    if (this.active && !mutual) throw new ProtooError(486, 'busy');
    if (!this.#people.add(sender.username)) throw new ProtooError(480, 'takes no calls from more people');
    this.current?.hangUp('calls crossed');
    const call = this.#begin({
      other: { username: sender.username, uuid: sender.uuid },
      kind: KINDS.includes(data.kind) ? data.kind : 'text',
      outgoing: false,
    });
    const answer = call.ring(req);
    if (mutual) call.accept();
    return answer;
  }

  /**
   * Two people who call each other at the same moment are to meet in one call: that of whoever is first in
   * the alphabet. The other one gives its own up and accepts.
   */
  #isMutual({ username, uuid }) {
    const { other, outgoing, pending, state } = this.current;
    if (!outgoing || other.username !== username || other.uuid !== uuid) return false;
    if (state === 'preparing') return true; // nothing has been sent
    const { me } = this.#people;
    const mine = JSON.stringify([me.name, me.device]);
    return pending && JSON.stringify([username, uuid]) < mine;
  }

  #of(req, over = false) {
    if (this.current?.path !== req.path || (this.current.over && !over)) throw new ProtooError(404, 'session is over');
    return this.current;
  }

  #begin(options) {
    const call = new Call(this.#connection.peer, { ...options, iceServers: this.#settings.iceServers });
    this.current = call;
    call.addEventListener('state', () => {
      if (call.over) this.#record(call);
    });
    this.dispatchEvent(Object.assign(new Event('call'), { call }));
    return call;
  }

  /** Writes the call into the conversation. */
  #record(call) {
    if (call.ending === 'calls crossed') return;
    const person = this.#people.add(call.other.username);
    if (!person) return;
    const name = NAMES[call.kind];
    const text = call.connectedAt ? `${name}, ${duration(call.endedAt - call.connectedAt)}`
      : call.ending === 'missed' ? `Missed ${name.toLowerCase()}`
      : `${name}: ${call.ending}`;
    this.#people.addEntry(person, { event: true, out: call.outgoing, text, device: call.other.uuid, at: call.endedAt });
  }
}

// Messages, their delivery, and its failures.
import { ProtooError } from '/protoo.js';
import { announce } from './dom.js';

const MAX_TEXT = 4000;

export class Chat {
  #connection;
  #people;

  constructor(connection, people) {
    this.#connection = connection;
    this.#people = people;
  }

  prepare(peer) {
    peer.handle('message', '/users/:username/:uuid?', (req) => this.#receive(req));
  }

  /** Sends a text to a device, or to all of a person's when the device is ''. */
  send(person, device, text) {
    const entry = { out: true, text, device, at: Date.now(), state: 'sending' };
    this.#people.addEntry(person, entry);
    this.#deliver(person, entry);
  }

  retry(person, entry) {
    entry.state = 'sending';
    entry.note = undefined;
    this.#people.updateEntry(person, entry);
    this.#deliver(person, entry);
  }

  async #deliver(person, entry) {
    const device = entry.device && `/${encodeURIComponent(entry.device)}`;
    const path = `/users/${encodeURIComponent(person.name)}${device}`;
    try {
      const { reason } = await this.#connection.peer.request('message', path, { text: entry.text });
      entry.state = 'delivered';
      // With several devices the server answers, and says to how many it went.
      entry.note = reason === 'OK' ? undefined : reason;
    } catch (error) {
      if (!(error instanceof ProtooError)) throw error;
      entry.state = error.status === 408 ? 'unknown' : 'failed';
      entry.note = explain(error, person.name, entry.device);
    }
    this.#people.updateEntry(person, entry);
  }

  #receive({ sender, data }) {
    const { me } = this.#people;
    if (typeof sender?.username !== 'string' || typeof sender.uuid !== 'string') throw new ProtooError(400, 'no sender');
    // What this very tab has sent to all of its user's devices. If there are no others, this is the answer.
    if (sender.username === me.name && sender.uuid === me.device) throw new ProtooError(404, 'no other device');
    const person = this.#people.add(sender.username);
    if (!person) throw new ProtooError(480, 'takes no messages from more people');
    const text = (typeof data?.text === 'string' ? data.text : JSON.stringify(data) ?? '').slice(0, MAX_TEXT);
    this.#people.addEntry(person, { out: false, text, device: sender.uuid, at: Date.now() });
    announce(`${person.name}: ${text}`);
  }
}

/** Why a message or a call did not reach somebody, to follow "Not delivered:". */
export function explain({ status, reason, local }, name, device) {
  const who = device ? `${name} · ${device}` : name;
  switch (status) {
    case 404: return `${who} is offline`;
    case 408: return 'no answer in time';
    case 410: return local ? 'you are disconnected' : `${who} went offline`;
    case 413: return 'the message is too long';
    default: return reason || `status ${status}`;
  }
}

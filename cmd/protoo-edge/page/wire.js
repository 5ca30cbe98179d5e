// Every frame that passes, with its time.
import { announce, byId, element, keepAtEnd, setText } from './dom.js';
import { count, preciseTime } from './format.js';

const MAX_FRAMES = 500;

export class Wire {
  #frames = []; // { at, direction, text, message, item }
  #requests = new Map(); // those that may be answered yet: which way and id → time
  #paused = false;
  #missed = 0; // while paused
  #filter = '';

  constructor(connection) {
    connection.addEventListener('frame', ({ direction, text }) => this.#add(direction, text));
    connection.addEventListener('state', () => this.#note(connection));
    byId('wire-pause').onclick = () => this.#pause(!this.#paused);
    byId('wire-clear').onclick = () => this.#clear();
    byId('wire-copy').onclick = () => this.#copy();
    byId('wire-filter').addEventListener('input', ({ target }) => {
      this.#filter = target.value.trim().toLowerCase();
      for (const frame of this.#frames) if (frame.item) frame.item.hidden = !this.#passes(frame);
      this.#showCount();
    });
    byId('frames').addEventListener('keydown', (event) => this.#move(event));
    keepAtEnd(byId('frames'));
    this.#showCount();
  }

  #note({ state, loss, identity, transport }) {
    const cause = `${loss?.code} ${loss?.reason}`.trim();
    const says = {
      connecting: () => `connecting as ${identity.name} · ${identity.device}`,
      online: () => `connected over ${transport}`,
      reconnecting: () => `no connection: ${cause}; attempt ${loss.attempt} in ${((loss.until - Date.now()) / 1000).toFixed(1)} s`,
      replaced: () => `closed: ${cause}`,
      closed: () => `closed: ${cause}`,
    }[state];
    if (says) this.#add('note', says());
  }

  #add(direction, text) {
    const frame = { at: Date.now(), direction, text, message: undefined, elapsed: undefined };
    if (direction !== 'note') this.#read(frame);
    this.#frames.push(frame);
    if (this.#frames.length > MAX_FRAMES) this.#drop(this.#frames.shift());
    if (this.#paused) this.#missed++;
    else this.#show(frame);
    this.#showCount();
  }

  #read(frame) {
    try {
      frame.message = JSON.parse(frame.text);
    } catch {
      return; // it is shown as it is
    }
    const { method, status } = frame.message ?? {};
    if (method) return void this.#requests.set(key(frame), frame.at);
    const other = { ...frame, direction: frame.direction === 'in' ? 'out' : 'in' };
    const asked = this.#requests.get(key(other));
    if (asked !== undefined) frame.elapsed = frame.at - asked;
    if (status >= 200) this.#requests.delete(key(other));
  }

  #drop(frame) {
    frame.item?.remove();
    if (frame.message?.method) this.#requests.delete(key(frame));
  }

  #show(frame) {
    frame.item = frame.direction === 'note' ? noteItem(frame) : frameItem(frame);
    frame.item.hidden = !this.#passes(frame);
    byId('frames').append(frame.item);
  }

  #passes({ text }) {
    return text.toLowerCase().includes(this.#filter);
  }

  #pause(paused) {
    this.#paused = paused;
    this.#missed = 0;
    byId('wire-pause').setAttribute('aria-pressed', String(paused));
    if (!paused) for (const frame of this.#frames) if (!frame.item) this.#show(frame);
    this.#showCount();
  }

  #clear() {
    byId('frames').replaceChildren();
    this.#frames = [];
    this.#requests.clear();
    this.#missed = 0;
    this.#showCount();
  }

  async #copy() {
    const arrows = { in: '<', out: '>', note: '-' };
    const lines = this.#frames.filter((frame) => frame.item && !frame.item.hidden)
      .map(({ at, direction, text }) => `${preciseTime(at)} ${arrows[direction]} ${text}`);
    const copied = await copyText(lines.join('\n'));
    const says = copied ? `Copied ${count(lines.length, 'frame')}` : 'Copying is not allowed here';
    setText(byId('wire-count'), says);
    announce(says);
  }

  #showCount() {
    const frames = this.#frames.filter(({ direction }) => direction !== 'note');
    const shown = frames.filter((frame) => frame.item && !frame.item.hidden);
    const of = shown.length === frames.length ? count(frames.length, 'frame') : `${shown.length} of ${count(frames.length, 'frame')}`;
    setText(byId('wire-count'), this.#paused ? `paused, ${this.#missed} new` : of);
  }

  /** The arrow keys go from frame to frame, so that the list is one stop for the tab key. */
  #move(event) {
    const items = [...byId('frames').querySelectorAll('li:not([hidden]) > details > summary')];
    const at = items.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at < 0 ? items.length - 1 : at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (to === undefined || !items[to]) return;
    event.preventDefault();
    items[to].focus();
  }
}

const key = ({ direction, message }) => `${direction} ${JSON.stringify(message.id)}`;

function noteItem({ at, text }) {
  return element('li', { className: 'note' }, element('span', { className: 'time' }, preciseTime(at)), ' ', text);
}

function frameItem(frame) {
  const { at, direction, text, message, elapsed } = frame;
  const pretty = element('pre', { tabIndex: 0 });
  const details = element('details', {
    ontoggle: () => { pretty.textContent = message === undefined ? text : JSON.stringify(message, null, 2); },
  },
    element('summary', { tabIndex: -1 },
      element('span', { className: 'time' }, preciseTime(at)),
      element('span', { className: 'arrow', role: 'img', ariaLabel: direction === 'in' ? 'received' : 'sent' }, direction === 'in' ? '←' : '→'),
      ...describe(message, text),
      elapsed === undefined ? null : element('span', { className: 'elapsed' }, `${elapsed} ms`)),
    pretty);
  return element('li', { className: direction }, details);
}

function describe(message, text) {
  const { method, path, status, reason } = message ?? {};
  if (method) {
    return [element('span', { className: 'method' }, String(method)), element('span', { className: 'rest' }, String(path))];
  }
  if (status) {
    return [element('span', { className: `answer s${Math.floor(status / 100)}` }, String(status)), element('span', { className: 'rest' }, String(reason ?? ''))];
  }
  return [element('span', { className: 'rest' }, text.slice(0, 200))];
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Not on a secure origin, or not allowed.
    const field = element('textarea', { className: 'unseen', value: text });
    document.body.append(field);
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    return copied;
  }
}

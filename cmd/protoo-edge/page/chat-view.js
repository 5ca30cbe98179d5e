// The conversation with the person that is selected.
import { byId, element, keepAtEnd, label, paintAvatar, setText } from './dom.js';
import { timeOfDay } from './format.js';
import { describePresence, isOnline } from './people-view.js';

const CALLS = { video: 'Video call', audio: 'Voice call', text: 'Direct channel, without camera' };
const STATES = { sending: 'Sending …', delivered: 'Delivered', unknown: 'Not confirmed', failed: 'Not delivered' };

export class ChatView {
  #people;
  #chat;
  #calls;
  #items = new WeakMap(); // entry → its item
  #person;

  constructor(people, chat, calls) {
    this.#people = people;
    this.#chat = chat;
    this.#calls = calls;
    people.addEventListener('select', () => this.#open(people.selected));
    people.addEventListener('person', ({ person }) => { if (person === this.#person) this.#showPerson(); });
    people.addEventListener('entry', ({ person, entry }) => { if (person === this.#person) this.#showEntry(entry); });
    calls.addEventListener('call', ({ call }) => {
      this.#showCallable();
      call.addEventListener('state', () => this.#showCallable());
    });

    keepAtEnd(byId('messages'));
    const text = byId('text');
    byId('compose').addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    text.addEventListener('input', () => grow(text));
    text.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    byId('target').addEventListener('change', () => this.#showCallable());
    for (const button of document.querySelectorAll('#conversation [data-kind]')) {
      button.addEventListener('click', () => this.#call(button.dataset.kind));
    }
  }

  #open(person) {
    this.#person = person;
    byId('conversation').hidden = !person;
    byId('no-conversation').hidden = Boolean(person);
    if (!person) return;
    setText(byId('with'), person.name);
    paintAvatar(byId('with-avatar'), person.name);
    const log = byId('messages');
    // What is old is not to be read out.
    log.setAttribute('aria-live', 'off');
    log.replaceChildren();
    byId('target').replaceChildren();
    this.#showPerson();
    for (const entry of person.entries) this.#showEntry(entry);
    log.scrollTop = log.scrollHeight;
    requestAnimationFrame(() => log.setAttribute('aria-live', 'polite'));
  }

  #showPerson() {
    const { devices, name } = this.#person;
    setText(byId('with-presence'), describePresence(this.#person));
    byId('conversation').classList.toggle('online', isOnline(this.#person));
    const target = byId('target');
    const chosen = target.value;
    const options = [['', `${name}, all devices`], ...devices.map((uuid) => [uuid, uuid])];
    if (chosen && !devices.includes(chosen)) options.push([chosen, `${chosen} (offline)`]);
    target.replaceChildren(...options.map(([value, text]) => element('option', { value }, text)));
    target.value = chosen;
    this.#showCallable();
  }

  #showCallable() {
    if (!this.#person) return;
    const why = this.#calls.active ? 'you are in a call' : isOnline(this.#person) ? '' : `${this.#person.name} is not online`;
    for (const button of document.querySelectorAll('#conversation [data-kind]')) {
      button.disabled = Boolean(why);
      label(button, why ? `${CALLS[button.dataset.kind]}: ${why}` : CALLS[button.dataset.kind]);
    }
  }

  #showEntry(entry) {
    const old = this.#items.get(entry);
    const item = entry.event ? eventItem(entry) : this.#messageItem(entry);
    this.#items.set(entry, item);
    if (old?.isConnected) {
      const focused = old.contains(document.activeElement);
      old.replaceWith(item);
      if (focused) byId('text').focus();
      return;
    }
    const log = byId('messages');
    log.append(item);
    if (entry.out) log.scrollTop = log.scrollHeight;
    while (log.children.length > this.#person.entries.length) log.firstChild.remove();
  }

  #messageItem(entry) {
    const { out, text, device, at, state, note } = entry;
    const person = this.#person;
    const failed = state === 'failed' || state === 'unknown';
    const parts = [timeOfDay(at)];
    if (device) parts.push(out ? `to ${device}` : device);
    const meta = element('p', { className: 'meta' }, element('time', { dateTime: new Date(at).toISOString() }, parts.join(' · ')));
    if (out) {
      const says = [STATES[state], note].filter(Boolean).join(': ');
      meta.append(element('span', { className: 'delivery' }, says));
    }
    if (failed) meta.append(element('button', { className: 'link', onclick: () => this.#chat.retry(person, entry) }, 'Retry'));
    return element('div', { className: ['message', out ? 'out' : 'in', state].filter(Boolean).join(' ') },
      element('p', { className: 'text', dir: 'auto' }, text), meta);
  }

  #send() {
    const field = byId('text');
    const text = field.value.trim();
    if (!text) return field.focus();
    this.#chat.send(this.#person, byId('target').value, text);
    field.value = '';
    grow(field);
    field.focus();
  }

  #call(kind) {
    const { name, devices } = this.#person;
    const chosen = byId('target').value;
    const start = (device) => this.#calls.start(name, device, kind);
    if (devices.includes(chosen)) start(chosen);
    else if (devices.length === 1) start(devices[0]);
    else chooseDevice(devices, start);
  }
}

function eventItem({ text, at, device }) {
  return element('div', { className: 'event' }, `${text} · ${device} · ${timeOfDay(at)}`);
}

/** Makes a field as high as its text, as far as its style allows. */
function grow(field) {
  field.style.height = 'auto';
  field.style.height = `${field.scrollHeight + field.offsetHeight - field.clientHeight}px`;
}

function chooseDevice(devices, chosen) {
  const dialog = byId('devices');
  byId('device-list').replaceChildren(...devices.map((uuid) => element('li', {},
    element('button', { className: 'secondary wide', onclick: () => { dialog.close(); chosen(uuid); } }, uuid))));
  dialog.showModal();
}

// The people that somebody has added, who of them is online, and what was said.
import { browser, tab } from './storage.js';

const MAX_PEOPLE = 64; // fewer than the server lets a peer watch
const MAX_DEVICES = 64;
const MAX_ENTRIES = 200;
const SAVE_DELAY = 300;

export class People extends EventTarget {
  /** Of the person whose page this is. */
  me;
  selected;
  #all = new Map();
  #unsaved;

  constructor() {
    super();
    addEventListener('pagehide', () => this.#save());
  }

  /** Begins with what is known of earlier. */
  load(me) {
    this.#save();
    this.me = me;
    this.#all.clear();
    this.select(undefined);
    for (const name of browser.get(`people.${me.name}`) ?? []) this.#enter(name);
    const entries = tab.get(`entries.${me.name}`) ?? {};
    for (const [name, list] of Object.entries(entries)) {
      const person = this.#all.get(name);
      // What was being sent when the page ended may have arrived or not.
      if (person) person.entries = list.map((entry) => (entry.state === 'sending' ? { ...entry, state: 'unknown' } : entry));
    }
    this.#changed('list');
  }

  get list() {
    return [...this.#all.values()];
  }

  get full() {
    return this.#all.size >= MAX_PEOPLE;
  }

  get unread() {
    return this.list.reduce((sum, person) => sum + person.unread, 0);
  }

  get(name) {
    return this.#all.get(name);
  }

  /** The person of that name, added if need be; undefined when there are too many. */
  add(name) {
    const known = this.#all.get(name);
    if (known || this.full) return known;
    const person = this.#enter(name);
    browser.set(`people.${this.me.name}`, [...this.#all.keys()]);
    this.#changed('list');
    return person;
  }

  remove(person) {
    this.#all.delete(person.name);
    if (this.selected === person) this.select(undefined);
    browser.set(`people.${this.me.name}`, [...this.#all.keys()]);
    this.#saveSoon();
    this.#changed('list');
  }

  select(person) {
    this.selected = person;
    if (person) person.unread = 0;
    this.#changed('select');
    if (person) this.#changed('person', person);
  }

  /** Who is online, as the server has answered. */
  setOnline(users) {
    for (const { username, uuids, more } of users) {
      const person = this.#all.get(username);
      if (!person) continue;
      person.devices = uuids.filter((uuid) => !this.#isMine(username, uuid));
      person.more = more ?? false;
      person.known = true;
      this.#changed('person', person);
    }
  }

  /** A device has come online or gone offline. */
  setDevice({ username, uuid, online }) {
    const person = this.#all.get(username);
    if (!person || this.#isMine(username, uuid)) return;
    person.devices = person.devices.filter((other) => other !== uuid);
    if (online) person.devices = [...person.devices, uuid].slice(-MAX_DEVICES);
    this.#changed('person', person);
  }

  /** Nobody can be known to be online while this page is not. */
  forgetOnline() {
    for (const person of this.list) {
      person.known = false;
      this.#changed('person', person);
    }
  }

  /** Adds a message or an event to a conversation. */
  addEntry(person, entry) {
    person.entries = [...person.entries, entry].slice(-MAX_ENTRIES);
    if (!entry.out && person !== this.selected) person.unread++;
    this.#saveSoon();
    this.#changed('entry', person, entry);
    this.#changed('person', person);
  }

  /** Says that an entry has changed. */
  updateEntry(person, entry) {
    this.#saveSoon();
    this.#changed('entry', person, entry);
  }

  /** Messages may come quickly, and all of them are written at once. */
  #saveSoon() {
    this.#unsaved ??= setTimeout(() => this.#save(), SAVE_DELAY);
  }

  #save() {
    if (!this.#unsaved) return;
    clearTimeout(this.#unsaved);
    this.#unsaved = undefined;
    const kept = this.list.filter(({ entries }) => entries.length);
    tab.set(`entries.${this.me.name}`, Object.fromEntries(kept.map(({ name, entries }) => [name, entries])));
  }

  #isMine(username, uuid) {
    return username === this.me.name && uuid === this.me.device;
  }

  #enter(name) {
    const person = { name, devices: [], more: false, known: false, unread: 0, entries: [] };
    this.#all.set(name, person);
    return person;
  }

  #changed(type, person, entry) {
    this.dispatchEvent(Object.assign(new Event(type), { person, entry }));
  }
}

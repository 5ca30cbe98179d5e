// The list of people, with who is online, and the form that adds somebody.
import { byId, element, icon, label, paintAvatar, setProblem, setText } from './dom.js';
import { count } from './format.js';
import { nameProblem } from './identity.js';

export class PeopleView {
  #people;
  #items = new Map(); // person → the parts of its item
  #choose;

  constructor(people, choose) {
    this.#people = people;
    this.#choose = choose;
    people.addEventListener('list', () => this.#list());
    people.addEventListener('select', () => {
      for (const [person, { choose }] of this.#items) choose.setAttribute('aria-current', String(person === people.selected));
    });
    people.addEventListener('person', ({ person }) => this.#show(person));
    byId('add-form').addEventListener('submit', (event) => this.#add(event));
  }

  #add(event) {
    event.preventDefault();
    const field = byId('add-name');
    const name = field.value.trim();
    const problem = nameProblem(name) || (!this.#people.get(name) && this.#people.full && 'That is as many as this page watches.') || '';
    setProblem(byId('add-problem'), problem, field);
    if (problem) return;
    field.value = '';
    this.#choose(this.#people.add(name));
  }

  #list() {
    const people = this.#people.list;
    byId('nobody').hidden = people.length > 0;
    for (const [person, { item }] of this.#items) {
      if (people.includes(person)) continue;
      item.remove();
      this.#items.delete(person);
    }
    for (const person of people) {
      if (this.#items.has(person)) continue;
      this.#enter(person);
      this.#show(person);
    }
    this.#showUnread();
  }

  #enter(person) {
    const avatar = element('span', { className: 'avatar', ariaHidden: 'true' });
    const presence = element('span', { className: 'presence' });
    const badge = element('span', { className: 'badge', hidden: true });
    const choose = element('button', { className: 'choose', onclick: () => this.#choose(person) },
      avatar,
      element('span', { className: 'who' }, element('span', { className: 'name' }, person.name), presence),
      badge);
    const remove = element('button', { className: 'ghost remove', onclick: () => this.#remove(person) }, icon('close'));
    label(remove, `Remove ${person.name}`);
    paintAvatar(avatar, person.name);
    const item = element('li', {}, choose, remove);
    this.#items.set(person, { item, choose, presence, badge });
    byId('people').append(item);
  }

  #remove(person) {
    this.#people.remove(person);
    byId('add-name').focus(); // what had the focus is gone
  }

  #show(person) {
    const parts = this.#items.get(person);
    if (!parts) return;
    const { item, choose, presence, badge } = parts;
    item.classList.toggle('online', isOnline(person));
    choose.setAttribute('aria-current', String(person === this.#people.selected));
    setText(presence, describePresence(person));
    badge.hidden = !person.unread;
    setText(badge, person.unread ? String(person.unread) : '');
    badge.setAttribute('aria-label', `${person.unread} unread`);
    this.#showUnread();
  }

  #showUnread() {
    const { unread } = this.#people;
    byId('people-badge').hidden = !unread;
    setText(byId('people-badge'), unread ? String(unread) : '');
  }
}

export const isOnline = ({ known, devices }) => known && devices.length > 0;

export function describePresence(person) {
  const { known, devices, more } = person;
  if (!known) return 'unknown';
  if (!devices.length) return 'offline';
  return devices.length === 1 && !more ? `online · ${devices[0]}` : `online · ${more ? 'more than ' : ''}${count(devices.length, 'device')}`;
}

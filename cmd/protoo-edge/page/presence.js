// Keeps the people's devices as the server says they are.

export class Presence {
  #connection;
  #people;
  #asked = 0;
  #due = false;

  constructor(connection, people) {
    this.#connection = connection;
    this.#people = people;
    people.addEventListener('list', () => this.#ask());
    connection.addEventListener('state', () => {
      // What changed while the connection was lost may not have been told, and a new server knows nothing.
      if (connection.state === 'online') this.#ask();
      else people.forgetOnline();
    });
  }

  prepare(peer) {
    peer.handle('presence', '/presence', ({ data }) => this.#people.setDevice(data));
  }

  #ask() {
    if (this.#due) return;
    this.#due = true;
    queueMicrotask(() => {
      this.#due = false;
      this.#askNow();
    });
  }

  async #askNow() {
    const { peer, state } = this.#connection;
    if (state !== 'online') return;
    const asked = ++this.#asked;
    const usernames = this.#people.list.map(({ name }) => name);
    try {
      const { data } = await peer.request('presence', '/presence', { usernames });
      if (asked === this.#asked) this.#people.setOnline(data.users);
    } catch (error) {
      // Lost with the connection: the next one brings the next question.
      if (!error.local) throw error;
    }
  }
}

/** JSON-RPC over a websocket that is opened again, ever more patiently, whenever it ends. */

const SOONEST = 1000, LATEST = 30000; // ms between two attempts
const SILENCE = 10000; // ms without a message after which the server is asked whether it is there

export class Failure extends Error {
  constructor({ code, message }) {
    super(message);
    this.code = code;
  }
}

export class Link {
  /**
   * `opened` is called with every connection, `lost` with the ms until the next attempt (null if there is
   * none), `told` with the method and the params of every notification.
   */
  constructor(url, { opened, lost, told }) {
    Object.assign(this, { url, opened, lost, told });
    this.calls = new Map();
    this.lastId = 0;
    this.delay = SOONEST;
    this.isWanted = true;
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Connect, unless that is so or under way, and from now on again whenever it ends. */
  open() {
    clearTimeout(this.retry);
    this.isWanted = true;
    if (this.socket) return;
    const socket = this.socket = new WebSocket(this.url);
    socket.onopen = () => {
      this.watch = setInterval(() => this.#listen(), SILENCE);
      this.heard = true;
      this.opened();
    };
    socket.onmessage = ({ data }) => this.#take(JSON.parse(data));
    socket.onclose = () => this.#end();
  }

  /** Make do without a connection, once this one ends, until it is opened again. */
  letGo() {
    this.isWanted = false;
    clearTimeout(this.retry);
  }

  /** The connection is of use: the next one may be tried soon. */
  isGood() {
    this.delay = SOONEST;
  }

  call(method, params = {}) {
    return new Promise((resolve, reject) => {
      if (!this.isOpen) return reject(new Failure({ code: 0, message: "There is no connection" }));
      const id = ++this.lastId;
      this.calls.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    });
  }

  #take(message) {
    this.heard = true;
    if (message.method) return this.told(message.method, message.params ?? []);
    const call = this.calls.get(message.id);
    this.calls.delete(message.id);
    if (message.error) call?.reject(new Failure(message.error));
    else call?.resolve(message.result);
  }

  /** Take a connection on which a question isn't answered either for broken. */
  #listen() {
    if (this.heard) this.asked = false;
    else if (this.asked) return this.#end();
    else {
      this.asked = true;
      this.call("server.websocket.id").catch(() => {});
    }
    this.heard = false;
  }

  #end() {
    clearInterval(this.watch);
    const { socket } = this;
    this.socket = undefined;
    this.asked = false;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    for (const { reject } of this.calls.values()) reject(new Failure({ code: 0, message: "The connection was lost" }));
    this.calls.clear();
    const wait = this.isWanted ? this.delay * (0.75 + Math.random() / 2) : null;
    if (wait !== null) this.retry = setTimeout(() => this.open(), wait);
    this.delay = Math.min(this.delay * 2, LATEST);
    this.lost(wait);
  }
}

// Node `ws` + `ioredis`, as their experienced user writes it: one Lua call per event, pipelined by
// itself; a subscription per room that somebody here is in; a broadcast goes out as it came in.
// Prints its port and runs until it is terminated.

'use strict';

const { Redis } = require('ioredis');
const { WebSocket, WebSocketServer } = require('ws');

const HEARTBEAT = 20_000; // ms
const BEHIND = 1 << 20; // bytes that may wait for one client

const redis = new Redis(process.argv[2], { enableAutoPipelining: true });
const subscriber = new Redis(process.argv[2]);

redis.defineCommand('say', {
  numberOfKeys: 1,
  lua: `
    local n = redis.call('INCR', KEYS[1])
    redis.call('PUBLISH', ARGV[1], ARGV[2] .. string.format('%.0f', n) .. ARGV[3])
    return n`,
});
// Sets the key if it is still what was read; else returns what it is.
redis.defineCommand('swap', {
  numberOfKeys: 1,
  lua: `
    local now = redis.call('GET', KEYS[1]) or ''
    if now ~= ARGV[1] then return now end
    redis.call('SET', KEYS[1], ARGV[2])
    return false`,
});

/** @type {Map<string, Set<WebSocket>>} */
const rooms = new Map();

async function join(socket, room) {
  const members = rooms.get(room);
  if (members) {
    members.add(socket);
    await members.subscribed;
    return;
  }
  const first = new Set([socket]);
  rooms.set(room, first);
  first.subscribed = subscriber.subscribe(room);
  await first.subscribed;
}

function leave(socket, room) {
  const members = rooms.get(room);
  members.delete(socket);
  if (members.size === 0) {
    rooms.delete(room);
    subscriber.unsubscribe(room);
  }
}

subscriber.on('messageBuffer', (channel, message) => {
  const members = rooms.get(channel.toString());
  if (!members) return;
  for (const socket of members) {
    if (socket.readyState !== WebSocket.OPEN) continue;
    if (socket.bufferedAmount > BEHIND) socket.terminate();
    else socket.send(message, { binary: false });
  }
});

function say({ room, text }, socket) {
  if (typeof room !== 'string' || typeof text !== 'string') throw new Error('invalid');
  const topic = `room:${room}`;
  const head = `{"event":"said","topic":${JSON.stringify(topic)},"data":{"n":`;
  const tail = `,"by":"${socket.id}","text":${JSON.stringify(text)}}}`;
  return redis.say(`count:${room}`, topic, head, tail);
}

// Events of this process on one account wait for each other, so that only other processes'
// changes make one run again.
const queues = new Map();

function deposit({ account, amount }) {
  if (typeof account !== 'string' || typeof amount !== 'number') throw new Error('invalid');
  const key = `account:${account}`;
  const turn = (queues.get(key) ?? Promise.resolve()).then(() => change(key, amount));
  const over = turn.catch(() => {}).then(() => {
    if (queues.get(key) === over) queues.delete(key);
  });
  queues.set(key, over);
  return turn;
}

async function change(key, amount) {
  let read = (await redis.get(key)) ?? '';
  for (;;) {
    const balance = amount + (read === '' ? 0 : JSON.parse(read).balance);
    const now = await redis.swap(key, read, JSON.stringify({ balance }));
    if (now === null) return balance;
    read = now;
  }
}

const handlers = { say, deposit };

async function handle(raw, socket) {
  let id;
  try {
    const message = JSON.parse(raw);
    id = message.id;
    const n = await handlers[message.event](message.data, socket);
    socket.send(`{"event":"ok","re":${id},"data":{"n":${n}}}`);
  } catch (error) {
    socket.send(JSON.stringify({ event: 'error', re: id, data: { message: error.message } }));
  }
}

const server = new WebSocketServer({
  host: '127.0.0.1',
  port: 0,
  backlog: 4096,
  maxPayload: 4 << 20,
  perMessageDeflate: false,
});
let connections = 0;

server.on('connection', async (socket, request) => {
  const room = `room:${new URL(request.url, 'ws://x').searchParams.get('room') ?? 'lobby'}`;
  socket.id = `${process.pid}-${++connections}`;
  socket.alive = true;
  socket.on('pong', () => { socket.alive = true; });
  socket.on('message', (raw) => handle(raw, socket));
  socket.on('error', () => {});
  socket.on('close', () => leave(socket, room));
  await join(socket, room);
  socket.send(`{"event":"joined","data":{"topic":${JSON.stringify(room)}}}`);
});

setInterval(() => {
  for (const socket of server.clients) {
    if (!socket.alive) {
      socket.terminate();
      continue;
    }
    socket.alive = false;
    socket.ping();
  }
}, HEARTBEAT);

server.on('listening', () => console.log(server.address().port));
process.on('SIGTERM', () => process.exit(0));

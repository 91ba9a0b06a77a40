// Socket.IO 4 with its Redis adapter (over ioredis): an INCR, and an emit to the room, which the
// adapter sends to this node's members at once and to the other nodes through Redis.
// Prints its port and runs until it is terminated.

'use strict';

const { createServer } = require('node:http');
const { createAdapter } = require('@socket.io/redis-adapter');
const { Redis } = require('ioredis');
const { Server } = require('socket.io');

const redis = new Redis(process.argv[2], { enableAutoPipelining: true });
const subscriber = new Redis(process.argv[2]);

const server = createServer();
const io = new Server(server, {
  adapter: createAdapter(redis, subscriber),
  maxHttpBufferSize: 4 << 20,
  pingInterval: 20_000,
  serveClient: false,
  transports: ['websocket'],
});

io.on('connection', async (socket) => {
  socket.on('say', async ({ room, text }, answer) => {
    const n = await redis.incr(`count:${room}`);
    io.to(`room:${room}`).emit('said', { n, by: socket.id, text });
    answer({ n });
  });
  const topic = `room:${socket.handshake.query.room ?? 'lobby'}`;
  await socket.join(topic);
  socket.emit('joined', { topic });
});

server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(server.address().port));
process.on('SIGTERM', () => process.exit(0));

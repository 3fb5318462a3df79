// Loaded into Node programs by NODE_OPTIONS=--require. Connections to intercepted hosts on
// port 443 go to Offhook's door; the TLS name was taken from the original host before, so
// server name and certificate check stay as they were.
'use strict';
const [host, port] = (process.env.OFFHOOK_DOOR || '').split(':');
if (port) {
  const net = require('node:net');
  const domains = __DOMAINS__;
  const ours = (name) => {
    const plain = String(name).toLowerCase().replace(/\.$/, '');
    return domains.some((domain) => plain === domain || plain.endsWith('.' + domain));
  };
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    // Either (options[, callback]), (port, host[, callback]), or the normalised [options, callback].
    const normalised = Array.isArray(args[0]) ? args[0] : null;
    let options = normalised ? normalised[0] : args[0];
    if (options === null || typeof options !== 'object') {
      if (typeof args[1] !== 'string') return connect.apply(this, args);
      options = { port: args[0], host: args[1] };
      args = [options, ...args.slice(2)];
    }
    if (options.path || Number(options.port) !== 443 || !options.host || !ours(options.host)) {
      return connect.apply(this, args);
    }
    const redirected = { ...options, host, port: Number(port) };
    delete redirected.lookup;
    if (!normalised) return connect.call(this, redirected, ...args.slice(1));
    // A copy with the array's own symbols, by which Node knows that it is normalised.
    const copy = normalised.slice();
    for (const symbol of Object.getOwnPropertySymbols(normalised)) copy[symbol] = normalised[symbol];
    copy[0] = redirected;
    return connect.call(this, copy);
  };
}

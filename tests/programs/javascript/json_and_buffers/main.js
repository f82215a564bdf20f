const data = { text: 'quote " backslash \\ line\u2028', list: [1, 2.5, -0, 1e21, null, true], nested: { deep: { er: [[]] } } };
const json = JSON.stringify(data, (key, value) => (key === 'deep' ? { ...value, added: 1 } : value), 2);
console.log(json);
console.log(JSON.parse(json, (key, value) => (Array.isArray(value) ? value.length : value)));
for (const bad of ['{', '[1,]', '{"a":undefined}', '']) {
  try { JSON.parse(bad); } catch (error) { console.log(error.name, error.message); }
}
const buffer = Buffer.from('Grüße, 世界 👋');
console.log(buffer.length, buffer.toString('base64'), buffer.subarray(0, 4), buffer.readUInt16BE(1));
console.log(new TextDecoder('utf-16le').decode(new Uint16Array([72, 105])), new Uint8Array([1, 2, 300]), new Float64Array(2));
console.log(Buffer.concat([Buffer.from([1]), Buffer.alloc(2, 'ab')]).equals(Buffer.from('016162', 'hex')), btoa('hi'), new URL('http://a.b/c?d=e#f').searchParams.get('d'));

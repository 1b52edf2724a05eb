// A FlatBuffer read in place, no further than its last byte: the format below
// `.tflite` files. Tables, vectors and strings are what those need.

/** The bytes end before what they point at. */
export class OutOfBounds extends Error {}

/** One table of a FlatBuffer. */
export class Table {
  /**
   * @param {DataView} view the whole buffer
   * @param {number} position of the table in it, bytes
   */
  constructor(view, position) {
    this.view = view;
    this.position = position;
    // Each table begins with the distance back to its vtable, which lists
    // where its fields lie.
    const vtable = position - read(view, "getInt32", position, 4);
    const size = read(view, "getUint16", vtable, 2);
    inside(view, vtable, size);
    this.vtable = vtable;
    this.vtableSize = size;
  }

  /** @param {Uint8Array} bytes */
  static root(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    return new Table(view, read(view, "getUint32", 0, 4));
  }

  /**
   * @param {number} index of the field in the schema, from 0
   * @return {number} its position, or 0 where the table leaves it out
   */
  field(index) {
    const slot = 4 + 2 * index;
    if (slot + 2 > this.vtableSize) return 0;
    const offset = this.view.getUint16(this.vtable + slot, true);
    return offset && this.position + offset;
  }

  /** An unsigned 32-bit number; 0 by default. */
  uint32(index) {
    const at = this.field(index);
    return at ? read(this.view, "getUint32", at, 4) : 0;
  }

  /** A signed byte, as most enumerations are; 0 by default. */
  int8(index) {
    const at = this.field(index);
    return at ? read(this.view, "getInt8", at, 1) : 0;
  }

  /** @return {Table[]} */
  tables(index) {
    const {start, length} = this.vector(index, 4);
    return Array.from({length}, (_, i) =>
      new Table(this.view, follow(this.view, start + 4 * i)));
  }

  /** @return {number[]} of signed 32-bit numbers */
  int32s(index) {
    const {start, length} = this.vector(index, 4);
    return Array.from({length}, (_, i) =>
      this.view.getInt32(start + 4 * i, true));
  }

  /** @return {Uint8Array} a view, not a copy */
  bytes(index) {
    const {start, length} = this.vector(index, 1);
    const {buffer, byteOffset} = this.view;
    return new Uint8Array(buffer, byteOffset + start, length);
  }

  /** @return {string} */
  text(index) {
    return new TextDecoder().decode(this.bytes(index));
  }

  /** Where a vector's elements begin, and how many there are. */
  vector(index, elementSize) {
    const at = this.field(index);
    if (!at) return {start: 0, length: 0};
    const position = follow(this.view, at);
    const length = read(this.view, "getUint32", position, 4);
    inside(this.view, position + 4, length * elementSize);
    return {start: position + 4, length};
  }
}

function inside(view, position, size) {
  if (position < 0 || position + size > view.byteLength) {
    throw new OutOfBounds(`${position + size} of ${view.byteLength} bytes`);
  }
}

function read(view, getter, position, size) {
  inside(view, position, size);
  return view[getter](position, true);
}

/** What an offset points at; it counts from its own place. */
function follow(view, position) {
  return position + read(view, "getUint32", position, 4);
}

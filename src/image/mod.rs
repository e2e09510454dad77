//! Images: references, the content store, import, and the unpacking of layers.

//! Nothing is generated yet; cargo reruns this only when it changes.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}

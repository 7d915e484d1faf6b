//! Where boxes go: a layered layout, left to right, the same for the same graph. Pure.
//!
//! Nodes are layered by the longest way to them, where a circle is broken at the node with the fewest ways into it;
//! within a layer they are ordered by the mean place of their neighbours, in a few sweeps (Sugiyama, Tagawa and Toda 1981).

use std::collections::BTreeSet;

/// A box, in pixels from the upper left corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Area {
    /// The left side.
    pub(crate) x: usize,
    /// The upper side.
    pub(crate) y: usize,
    /// The width.
    pub(crate) width: usize,
    /// The height.
    pub(crate) height: usize,
}

/// The space around and between boxes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spacing {
    /// Around everything.
    pub(crate) margin: usize,
    /// Between boxes of one layer.
    pub(crate) between: usize,
    /// Between layers, beside the room that a layer asks for.
    pub(crate) layers: usize,
}

/// What is to be placed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Item {
    /// The width.
    pub(crate) width: usize,
    /// The height.
    pub(crate) height: usize,
    /// The room that it asks for on its left side.
    pub(crate) room: usize,
}

/// How often the order within layers is mended.
const SWEEPS: usize = 4;

/// Returns the place of each item, none of which overlap. Edges are pairs of places in `items`.
pub(crate) fn layout(items: &[Item], edges: &[(usize, usize)], spacing: Spacing) -> Vec<Area> {
    let edges: Vec<(usize, usize)> = edges.iter().copied().filter(|(from, to)| from != to).collect();
    let layers = ordered(layered(items.len(), &edges), &edges);
    let high = |layer: &Vec<usize>| -> usize {
        layer.iter().map(|it| items[*it].height + spacing.between).sum::<usize>()
    };
    let height = layers.iter().map(high).max().unwrap_or(0);
    let mut areas = vec![Area::default(); items.len()];
    let mut x = spacing.margin;
    for (idx, layer) in layers.iter().enumerate() {
        let widest = |of: fn(&Item) -> usize| layer.iter().map(|it| of(&items[*it])).max().unwrap_or(0);
        if idx > 0 {
            x += spacing.layers;
        }
        x += widest(|item| item.room);
        let mut y = spacing.margin + (height - high(layer)) / 2;
        for it in layer {
            areas[*it] = Area { x, y, width: items[*it].width, height: items[*it].height };
            y += items[*it].height + spacing.between;
        }
        x += widest(|item| item.width);
    }
    areas
}

/// Returns the nodes of each layer, by number. An edge leads to a later layer, unless it closes a circle.
fn layered(n_nodes: usize, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let mut ways_in = vec![0; n_nodes];
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); n_nodes];
    for (from, to) in edges {
        ways_in[*to] += 1;
        next[*from].push(*to);
    }
    let mut waiting: BTreeSet<(usize, usize)> = ways_in.iter().copied().zip(0..).collect();
    let mut layer_of = vec![0; n_nodes];
    let mut layers: Vec<Vec<usize>> = Vec::new();
    while let Some((ways, node)) = waiting.pop_first() {
        debug_assert_eq!(ways, ways_in[node]);
        let layer = layer_of[node];
        if layers.len() <= layer {
            layers.resize(layer + 1, Vec::new());
        }
        layers[layer].push(node);
        for to in &next[node] {
            // What was placed already closes a circle.
            if waiting.remove(&(ways_in[*to], *to)) {
                ways_in[*to] -= 1;
                layer_of[*to] = layer_of[*to].max(layer + 1);
                waiting.insert((ways_in[*to], *to));
            }
        }
    }
    layers.iter_mut().for_each(|layer| layer.sort_unstable());
    layers
}

/// Orders the nodes within layers, so that neighbours lie near each other.
fn ordered(mut layers: Vec<Vec<usize>>, edges: &[(usize, usize)]) -> Vec<Vec<usize>> {
    let n_nodes = layers.iter().map(Vec::len).sum();
    let mut neighbours: Vec<Vec<usize>> = vec![Vec::new(); n_nodes];
    for (from, to) in edges {
        neighbours[*from].push(*to);
        neighbours[*to].push(*from);
    }
    let mut layer_of = vec![0; n_nodes];
    let mut place_of = vec![0; n_nodes];
    for (number, layer) in layers.iter().enumerate() {
        for (place, node) in layer.iter().enumerate() {
            layer_of[*node] = number;
            place_of[*node] = place * FRACTION / layer.len();
        }
    }
    for sweep in 0..SWEEPS {
        let forth = sweep % 2 == 0;
        let numbers: Vec<usize> =
            if forth { (0..layers.len()).collect() } else { (0..layers.len()).rev().collect() };
        for number in numbers {
            let mean = |node: &usize| {
                let towards = |it: &&usize| {
                    if forth { layer_of[**it] < number } else { layer_of[**it] > number }
                };
                let places: Vec<usize> =
                    neighbours[*node].iter().filter(towards).map(|it| place_of[*it]).collect();
                if places.is_empty() { place_of[*node] } else { places.iter().sum::<usize>() / places.len() }
            };
            layers[number].sort_by_cached_key(|node| (mean(node), *node));
            let length = layers[number].len();
            for (place, node) in layers[number].iter().enumerate() {
                place_of[*node] = place * FRACTION / length;
            }
        }
    }
    layers
}

/// Places within a layer are counted in this fraction of its length, so that layers compare.
const FRACTION: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::{Area, Item, Spacing, layout};
    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    const SPACING: Spacing = Spacing { margin: 10, between: 8, layers: 20 };

    fn overlap(one: &Area, two: &Area) -> bool {
        one.x < two.x + two.width
            && two.x < one.x + one.width
            && one.y < two.y + two.height
            && two.y < one.y + one.height
    }

    fn item(width: usize, height: usize) -> Item {
        Item { width, height, room: 0 }
    }

    #[test]
    fn data_flows_to_the_right() {
        let areas = layout(&[item(10, 10); 3], &[(0, 1), (1, 2), (0, 2)], SPACING);
        assert!(areas[0].x < areas[1].x && areas[1].x < areas[2].x);
    }

    #[test]
    fn a_circle_is_placed_like_anything_else() {
        let areas = layout(&[item(10, 10); 3], &[(0, 1), (1, 2), (2, 0), (1, 1)], SPACING);
        assert!(areas[0].x < areas[1].x && areas[1].x < areas[2].x);
    }

    #[test]
    fn nothing_has_no_places() {
        assert_eq!(layout(&[], &[], SPACING), []);
    }

    proptest! {
        #[test]
        fn no_two_boxes_overlap_and_the_layout_is_the_same_each_time(
            sizes in proptest::collection::vec((1_usize..200, 1_usize..80, 0_usize..50), 1..40),
            ends in proptest::collection::vec((0_usize..40, 0_usize..40), 0..120),
        ) {
            let items: Vec<Item> =
                sizes.iter().map(|(width, height, room)| Item { width: *width, height: *height, room: *room }).collect();
            let edges: Vec<(usize, usize)> =
                ends.iter().map(|(from, to)| (from % items.len(), to % items.len())).collect();
            let areas = layout(&items, &edges, SPACING);
            prop_assert_eq!(&areas, &layout(&items, &edges, SPACING));
            for (idx, one) in areas.iter().enumerate() {
                prop_assert!(one.x >= SPACING.margin + items[idx].room && one.y >= SPACING.margin);
                for two in &areas[idx + 1..] {
                    prop_assert!(!overlap(one, two), "{:?} {:?}", one, two);
                }
            }
        }
    }
}

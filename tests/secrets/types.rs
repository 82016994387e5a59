//! `Debug` of every public type, each of an instance that holds secrets or was
//! made with them, where the type can.

mod caches;
mod changes;
mod gateways;
mod pages;
mod requests;
mod stores;
mod vocabulary;

use std::fmt::Debug;

use crate::life::Life;

/// What the types say of themselves, by their names.
#[derive(Default)]
struct List(Vec<(&'static str, String)>);

impl List {
    fn add(&mut self, name: &'static str, instance: &dyn Debug) {
        self.0.push((name, format!("{instance:?} {instance:#?}")));
    }
}

/// Every public type with what it shows. A new type needs a line here.
pub(crate) async fn shown(life: &Life) -> Vec<(&'static str, String)> {
    let mut list = List::default();
    vocabulary::show(life, &mut list);
    changes::show(life, &mut list).await;
    stores::show(life, &mut list).await;
    caches::show(life, &mut list).await;
    requests::show(life, &mut list).await;
    gateways::show(life, &mut list).await;
    pages::show(life, &mut list);
    list.0
}

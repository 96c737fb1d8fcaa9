"""From RTL to cells: recipes, technology maps, areas, equivalence."""

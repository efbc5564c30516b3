"""What runs look like to people: a timeline, the reason why a run is where it is, its family."""

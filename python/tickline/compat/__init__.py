"""Old programs' classes under their old names, over what Tickline has in their place."""

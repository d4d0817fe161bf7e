"""Who asks, where not everybody may: tokens, sessions and their cookies, forms that no other site can send."""

r"""From moments to the covariance of the increments of the overlaps, and to their means of second order in 1/d.

One step changes the overlaps by :math:`h\Gamma + h^2\Gamma_2`, h the length of a step on the clock.  Here are the covariance of
:math:`\Gamma` and the mean of :math:`\Gamma_2`, for any number of groups: given the fields, the part of a field in group l has the mean
:math:`M_l\lambda`, :math:`M_l = c_lC_lC^{-1}`, and the covariance :math:`\delta_{lm}c_lC_l - M_l C M_m^\top` with that in group m
(docs/committee.md, C16-C18).
"""

from __future__ import annotations

import functools

import numpy as np

from ..schedule import Schedule
from .derivatives import Equations
from .increments import Rule

#: Eigenvalues of the fields' correlations below this share count as zero.
RANK = 1e-10


class Increments:
    """Moments of the steps of a problem along its solution."""

    def __init__(self, equations: Equations):
        self.equations = equations
        self.problem = equations.problem
        self.pairs = equations.left, equations.right
        self.is_student = equations.right < equations.p

    @functools.cached_property
    def rule(self) -> Rule:
        """How the moments of the fields are taken."""
        return Rule(self.problem)

    def of_starts(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Return covariance and bias of the overlaps of Gaussian starts about a state (1, D), times d, shapes (D, D), (D,).

        The students of group l are :math:`W_l=R_lT_l^{-1}W^\star_l+G_l`; the columns of G are independent, of covariance
        :math:`P_l/q_l` with :math:`P_l=Q_l-R_lT_l^{-1}R_l^\top`, rescaled on the sphere (docs/committee.md, C22).
        """
        equations = self.equations
        p, block = equations.p, equations.block
        C = equations.covariances(states)[0]
        Q, R, T = C[:, :p, :p], C[:, :p, p:], C[:, p:, p:]
        along = R @ np.linalg.pinv(T, hermitian=True)
        P = Q - along @ R.mT
        left, right = self.pairs
        covariance = np.zeros((equations.count, equations.count))
        for l, share in enumerate(equations.weights):
            # First order: dR = N, dQ = A N^T + N A^T + M, with N = G W*^T and M = G G^T - P independent at this order.
            N = np.einsum("ij,rs->irjs", P[l], T[l])
            M = np.einsum("ik,jm->ijkm", P[l], P[l])
            M = M + np.einsum("im,jk->ijkm", P[l], P[l])
            map_N = np.zeros((block, p, equations.k))
            map_M = np.zeros((block, p, p))
            for e, (i, u) in enumerate(zip(left, right)):
                if u < p:
                    map_M[e, i, u] += 1.0
                    map_N[e, u] += along[l, i]
                    map_N[e, i] += along[l, u]
                else:
                    map_N[e, i, u - p] += 1.0
            part = np.einsum("eir,irjs,fjs->ef", map_N, N, map_N) + np.einsum("eij,ijkm,fkm->ef", map_M, M, map_M)
            place = slice(l * block, l * block + block)
            covariance[place, place] = part / share
        if not self.problem.spherical:
            return covariance, np.zeros(equations.count)
        mean = self.on_the_sphere(states, np.zeros_like(states), covariance[None])[0]
        project = self.projection(states)[0]
        return project @ covariance @ project.T, mean

    def at(self, times: np.ndarray, states: np.ndarray, J: np.ndarray, F: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return B, the covariance of the increments per time times d, and the source of the mean that needs no covariance.

        Parameters
        ----------
        times, states, J, F : ndarray, shapes (T,), (T, D), (T, D, D), (T, D)
        """
        equations, problem = self.equations, self.problem
        groups, C = equations.covariances(states), equations.fields(states)
        a = equations.second_layers(states)
        rates = np.array([equations.rate(t) for t in times]) / equations.p
        means, moments = self.rule.moments(C, a)
        inverse = inverses(C)
        M = groups * equations.eigenvalues[:, None, None] @ inverse[:, None]
        if equations.groups == 1:
            M = np.broadcast_to(np.eye(C.shape[-1]) * (equations.eigenvalues[0] > 0), groups.shape)
        table = self.linear_map(groups, M, a, rates)
        noise = self.noise_matrix(means)
        apart = self.between_groups(groups, M, C, noise)
        mean = np.einsum("tdj,tj->td", table, means)
        second = table @ moments @ table.mT + apart
        covariance = second - mean[:, :, None] * mean[:, None]
        after = self.second_order(groups, C, inverse, M, a, means, moments, mean, rates)
        if problem.spherical:
            after = self.on_the_sphere(states, after, second)
            project = self.projection(states)
            covariance = project @ covariance @ project.mT
        change = np.einsum("tij,tj->ti", J, F) + self.explicit_change(times, states)
        return rates[:, None, None] * covariance, rates[:, None] * (after - 0.5 * change)

    def linear_map(self, groups: np.ndarray, M: np.ndarray, a: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """Return the increments as a linear map of (h_1 e, h_2 e^2), shape (T, D, m); parts between groups are left out."""
        equations = self.equations
        p, n = equations.p, equations.p + equations.k
        at_own, at_one, at_two = p * n, p * n + p, p * n + p + 1
        left, right = self.pairs
        count, L, block = len(M), equations.groups, equations.block
        table = np.zeros((count, L, block, at_two + equations.rows.size))
        for e, (i, u) in enumerate(zip(left, right)):
            table[:, :, e, i * n : i * n + n] += M[:, :, u]
            if u < p:
                table[:, :, e, u * n : u * n + n] += M[:, :, i]
                table[:, :, e, at_two + e] = rates[:, None] * (equations.eigenvalues * equations.weights)
            if self.problem.activation == "centred":
                both = a[:, i] + a[:, u] if u < p else a[:, i]
                table[:, :, e, at_one] = 2.0 * both[:, None] * equations.eigenvalues * groups[:, :, i, u]
        flat = table.reshape(count, L * block, -1)
        if not equations.trained:
            return flat
        own = np.zeros((count, p, flat.shape[2]))
        own[:, range(p), range(at_own, at_one)] = -self.problem.second_layer_rate
        return np.concatenate([flat, own], axis=1)

    def noise_matrix(self, means: np.ndarray) -> np.ndarray:
        """Return E[(e^2 + noise) v_i v_j], shape (T, p, p)."""
        equations = self.equations
        N = np.empty((len(means), equations.p, equations.p))
        N[:, equations.rows, equations.columns] = means[:, -equations.rows.size :]
        N[:, equations.columns, equations.rows] = means[:, -equations.rows.size :]
        return N

    def between_groups(self, groups: np.ndarray, M: np.ndarray, C: np.ndarray, N: np.ndarray) -> np.ndarray:
        """Return the covariance of the increments given the fields, averaged over them, shape (T, D, D)."""
        equations = self.equations
        count, L, block = len(M), equations.groups, equations.block
        size = L * block + equations.p * equations.trained
        result = np.zeros((count, size, size))
        if L == 1:
            return result
        K = -np.einsum("tlua,tab,tmvb->tlumv", M, C, M)
        K[:, range(L), :, range(L)] += np.swapaxes(groups * equations.eigenvalues[:, None, None], 0, 1)
        left, right = self.pairs
        # Of a pair of students also the same with the two exchanged.
        terms = [(left, right, np.ones(block)), (np.where(self.is_student, right, 0), left, self.is_student * 1.0)]
        total = np.zeros((count, L, block, L, block))
        for i, u, one in terms:
            for j, v, other in terms:
                part = K[:, :, u][:, :, :, :, v] * (N[:, i][:, :, j] * one[:, None] * other)[:, None, :, None]
                total += part
        result[:, : L * block, : L * block] = total.reshape(count, L * block, L * block)
        return result

    def second_order(
        self,
        groups: np.ndarray,
        C: np.ndarray,
        inverse: np.ndarray,
        M: np.ndarray,
        a: np.ndarray,
        means: np.ndarray,
        moments: np.ndarray,
        mean: np.ndarray,
        rates: np.ndarray,
    ) -> np.ndarray:
        """Return the mean of the second-order part of a step without the sphere, shape (T, D)."""
        equations, problem = self.equations, self.problem
        p, n, L = equations.p, equations.p + equations.k, equations.groups
        left, right = self.pairs
        c = equations.eigenvalues
        N = self.noise_matrix(means)
        X = moments[:, : p * n, : p * n].reshape(len(C), p, n, p, n)
        W = inverse[:, None] @ (groups * c[:, None, None]) @ inverse[:, None]
        trace = np.einsum("tluv,tvu->tl", groups * c[:, None, None], inverse)
        F1 = c[:, None, None] * (np.einsum("tluv,tiujv->tlij", W, X) - trace[:, :, None, None] * N[:, None])
        decay = problem.weight_decay
        after = np.zeros((len(C), L, equations.block))
        students = self.is_student
        i, j = left[students], right[students]
        after[:, :, students] = F1[:, :, i, j]
        drift = mean[:, : L * equations.block].reshape(after.shape).copy()
        strength = rates[:, None, None] * (c * equations.weights)[:, None] * N[:, None, i, j]
        drift[:, :, students] -= strength
        if problem.spherical:
            after += decay * drift
            after[:, :, students] += 2.0 * decay * strength
        else:
            after[:, :, students] += decay**2 * groups[:, :, i, j] - decay * drift[:, :, students]
        if problem.activation == "centred":
            at_one = p * n + p
            square = moments[:, at_one, at_one]
            # E[e^2 v_j l_u], and its share in every group.
            cross = np.einsum("tlau,tju->tlaj", M, moments[:, at_one, : p * n].reshape(-1, p, n))
            keep = 4.0 * a[:, None, :, None] * a[:, None, None, :] * (c**2)[:, None, None] * groups[:, :, :p, :p]
            shrunk = 2.0 * c[:, None, None] * a[:, None, :, None] * cross[:, :, :p]
            whole = keep * square[:, None, None, None] + shrunk + shrunk.mT
            after[:, :, students] += whole[:, :, i, j]
        flat = after.reshape(len(C), -1)
        return np.concatenate([flat, np.zeros((len(C), p))], axis=1) if equations.trained else flat

    def norms(self, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the plain norms of the students (T, p), and which entries of the state they add up, (p, D)."""
        picks = self.equations.norms()
        return states @ picks.T, picks

    def members(self) -> tuple[np.ndarray, np.ndarray]:
        """Return which student, and which second one or the teachers' -1, an entry of the state belongs to; without the second layer."""
        left, right = self.pairs
        L = self.equations.groups
        return np.tile(left, L), np.tile(np.where(self.is_student, right, -1), L)

    def projection(self, states: np.ndarray) -> np.ndarray:
        """Return the linear part of the rescaling to the sphere, shape (T, D, D)."""
        norms, picks = self.norms(states)
        relative = picks / norms[:, :, None]
        i, j = self.members()
        size = i.size
        project = np.broadcast_to(np.eye(states.shape[1]), (len(states), *[states.shape[1]] * 2)).copy()
        both = relative[:, i] + np.where((j >= 0)[:, None], relative[:, j], 0.0)
        project[:, :size] -= 0.5 * states[:, :size, None] * both
        return project

    def on_the_sphere(self, states: np.ndarray, after: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the mean second-order part after the rescaling; `second` are the second moments of the free increments."""
        norms, picks = self.norms(states)
        relative = picks / norms[:, :, None]
        i, j = self.members()
        size, student = i.size, j >= 0
        crossed = second @ relative.mT
        own = relative @ crossed
        result = np.einsum("tde,te->td", self.projection(states), after)
        y = states[:, :size]
        diagonal = np.einsum("tii->ti", own)
        result[:, :size] -= 0.5 * crossed[:, range(size), i] - 0.375 * y * diagonal[:, i]
        more = -0.5 * crossed[:, range(size), j] + y * (0.375 * diagonal[:, j] + 0.25 * own[:, i, j])
        result[:, :size] += np.where(student, more, 0.0)
        return result

    def explicit_change(self, times: np.ndarray, states: np.ndarray) -> np.ndarray:
        """Return the part of dF/dt that a changing learning rate makes."""
        rate = self.problem.learning_rate
        if not isinstance(rate, Schedule):
            return np.zeros_like(states)
        values = np.array([rate(t) for t in times])
        # At a knot the mean of both sides.
        near = 1e-6 * max(float(rate.times[-1]), 1.0)
        slopes = np.array([(rate(t + near) - rate(max(t - near, 0.0))) / (near + min(near, t)) for t in times])
        # F is linear in the learning rate.
        change = self.equations.velocities(states, 2.0 * values) - self.equations.velocities(states, values)
        return change * (slopes / values)[:, None]


def inverses(C: np.ndarray) -> np.ndarray:
    """Return pseudo-inverses of covariances (T, n, n); fields without variance are left out."""
    size = np.sqrt(np.einsum("tuu->tu", C))
    size = np.where(size > 0, size, 1.0)
    scaled = np.linalg.pinv(C / (size[:, :, None] * size[:, None]), rcond=RANK, hermitian=True)
    return scaled / (size[:, :, None] * size[:, None])
